/**
 * The plan of a build: the stages the target needs, each planned. Planning needs the configs of base images and does
 * no I/O, so it says which configs it lacks; the caller fetches them and plans again. Triggers (ONBUILD) of a base
 * become the first instructions of the stage, and may in turn need more.
 */
import type { Instruction } from '../dockerfile/instruction.ts';
import { parseTrigger } from '../dockerfile/parse.ts';
import type { SourceLocation } from '../errors.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { planStage } from './plan-stage.ts';
import { type InputRef, inputKey, type Stage, type StageGraph } from './stage-graph.ts';
import type { StageStart } from './stage-state.ts';
import { inputsOf, type StagePlan } from './step.ts';

export interface Plan {
  readonly graph: StageGraph;
  /** Only what the target needs, each after what it is built on and copies from. */
  readonly stages: readonly StagePlan[];
  readonly target: StagePlan;
  /** Variables used but never set: material for the UndefinedVar check. */
  readonly unset: readonly { readonly name: string; readonly location: SourceLocation }[];
}

export type PlanResult =
  | { readonly kind: 'plan'; readonly plan: Plan }
  /** Configs that must be known first; scratch-like inputs (a context used as a base) map to undefined. */
  | { readonly kind: 'needs'; readonly inputs: readonly InputRef[] };

/** Configs by `inputKey`; a known input without a config (a directory context as base) is present as undefined. */
export type KnownConfigs = ReadonlyMap<string, ImageConfig | undefined>;

/** Plans the target and what it needs. Throws DOCKERFILE_*. */
export function planBuild(graph: StageGraph, configs: KnownConfigs): PlanResult {
  const planned = new Map<number, StagePlan>();
  const order: StagePlan[] = [];
  const needs = new Map<string, InputRef>();
  const unset: { name: string; location: SourceLocation }[] = [];

  const visit = (stage: Stage): StagePlan | undefined => {
    const known = planned.get(stage.index);
    if (known !== undefined) return known;
    const start = startOf(stage);
    if (start === undefined) return undefined;
    const instructions = [...triggersOf(stage, start), ...stage.instructions];
    const plan = planStage(
      graph,
      { ...stage, instructions },
      {
        start,
        onUnset: (name, location) => unset.push({ name, location }),
      },
    );
    for (const input of plan.steps.flatMap(inputsOf)) {
      const needed = input.kind === 'stage' ? graph.stages[input.index] : undefined;
      if (needed !== undefined) visit(needed);
    }
    planned.set(stage.index, plan);
    order.push(plan);
    return plan;
  };

  const startOf = (stage: Stage): StageStart | undefined => {
    const { base } = stage;
    if (base.kind === 'scratch') return { kind: 'scratch' };
    if (base.kind === 'stage') {
      const parent = graph.stages[base.index];
      const plan = parent === undefined ? undefined : visit(parent);
      return plan === undefined ? undefined : { kind: 'stage', plan };
    }
    const key = inputKey(base);
    if (!configs.has(key)) {
      needs.set(key, base);
      return undefined;
    }
    const config = configs.get(key);
    return config === undefined ? { kind: 'scratch' } : { kind: 'image', config };
  };

  const target = visit(graph.target);
  if (needs.size > 0 || target === undefined) return { kind: 'needs', inputs: [...needs.values()] };
  return { kind: 'plan', plan: { graph, stages: order, target, unset } };
}

function triggersOf(stage: Stage, start: StageStart): Instruction[] {
  const triggers =
    start.kind === 'image'
      ? (start.config.config?.OnBuild ?? [])
      : start.kind === 'stage'
        ? (start.plan.config.runtime.OnBuild ?? [])
        : [];
  return triggers.map((trigger) => parseTrigger(trigger, stage.from.location));
}
