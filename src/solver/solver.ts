/**
 * Walks the plan: stages side by side, steps of a stage in order, each looked up before it is run. Holds no knowledge
 * of how a step is run; that is in run-step.ts and transfer-step.ts.
 */
import type { Plan } from '../plan/plan.ts';
import { type InputRef, inputKey } from '../plan/stage-graph.ts';
import { scopeId, stepPrefix } from '../plan/stage-state.ts';
import type { StagePlan } from '../plan/step.ts';
import { lookUp, remember } from './cache-lookup.ts';
import { explainStep, explainUnneeded } from './explain-cache.ts';
import { firstStepLabel, labelOf } from './labels.ts';
import type { SolverContext } from './solver-context.ts';
import { executeStep, imageState } from './stage-steps.ts';
import { type SettledLayer, type StageState, settle } from './step-layer.ts';

/** A finished stage: its layers, and per step when it was made. */
export interface SolvedStage {
  readonly plan: StagePlan;
  readonly layers: readonly SettledLayer[];
  /** Layers that the base brought; the rest are the stage's steps, one each. */
  readonly baseLayers: number;
}

export class Solver {
  readonly #context: SolverContext;
  readonly #plan: Plan;
  readonly #stages = new Map<number, Promise<StageState>>();
  readonly #inputs = new Map<string, Promise<StageState>>();

  constructor(plan: Plan, context: SolverContext) {
    this.#plan = plan;
    this.#context = context;
  }

  /** Solves the target and what it needs. The first failure stops everything that runs. */
  async solve(): Promise<SolvedStage> {
    const { target } = this.#plan;
    if (this.#context.options.explain) explainUnneeded(this.#context, this.#plan);
    // Every stage of the plan is needed, so all start at once; each waits for what it reads.
    const running = this.#plan.stages.map((stage) => this.stage(stage.stage.index));
    const state = await settleOrStop(running, this.#context.stop).then(() => this.stage(target.stage.index));
    const layers = await settle(state.layers);
    return { plan: target, layers, baseLayers: layers.length - countSteps(this.#plan, target) };
  }

  /** State of a stage's end; begins solving it on first use. */
  stage(index: number): Promise<StageState> {
    let state = this.#stages.get(index);
    if (state === undefined) {
      const plan = this.#plan.stages.find((candidate) => candidate.stage.index === index);
      if (plan === undefined) throw new Error(`stage ${index} is not part of the plan`);
      state = this.#solveStage(plan);
      this.#stages.set(index, state);
    }
    return state;
  }

  async #solveStage(plan: StagePlan): Promise<StageState> {
    let state = await this.#base(plan);
    for (const step of plan.steps) {
      this.#context.signal.throwIfAborted();
      const label = labelOf(step);
      const request = { step, state, plan, stageOf: (input: InputRef) => this.#stateOf(input) };
      const found = await lookUp(this.#context, request);
      if (this.#context.options.explain) {
        await explainStep(this.#context, { request, found, plan: this.#plan });
      }
      const solved = { step, stage: plan.stage.index, records: found.records };
      if (found.hit !== undefined) {
        const settled = Promise.resolve(found.hit);
        this.#context.reportCached(label);
        this.#context.options.onStep?.({ ...solved, cached: true, layer: settled });
        state = { layers: [...state.layers, { settled }], key: found.key };
        continue;
      }
      const layer = await this.#context.runStep(label, (reporter) =>
        executeStep(this.#context, { ...request, reporter }),
      );
      const settled = layer.settled.then((result) =>
        remember(this.#context, found, { layer: result, state: request.state }),
      );
      // A failure surfaces where the stage is waited for; until then it must not count as unhandled.
      settled.catch(() => undefined);
      this.#context.options.onStep?.({ ...solved, cached: false, layer: settled });
      state = {
        layers: [...state.layers, { ...layer, settled }],
        key: found.key,
      };
    }
    return state;
  }

  async #base(plan: StagePlan): Promise<StageState> {
    const { base } = plan.stage;
    if (base.kind === 'stage') return this.stage(base.index);
    if (base.kind === 'scratch') return { layers: [], key: 'scratch' };
    const state = await this.#input(base);
    const prefix = stepPrefix(this.#plan.graph, plan.stage, { index: 1, total: totalOf(plan) });
    // The image's layers stay where they are until a step must see them.
    this.#context.reportBase(
      firstStepLabel({ id: scopeId(this.#plan.graph, plan.stage), prefix, from: plan.stage.from, base }),
    );
    return state;
  }

  #stateOf(input: InputRef): Promise<StageState> {
    if (input.kind === 'stage') return this.stage(input.index);
    return this.#input(input);
  }

  /** An image or a context as the state of a stage, so that steps read all inputs alike. */
  #input(input: InputRef): Promise<StageState> {
    const key = inputKey(input);
    let state = this.#inputs.get(key);
    if (state === undefined) {
      state = imageState(this.#context, input);
      this.#inputs.set(key, state);
    }
    return state;
  }
}

function totalOf(plan: StagePlan): number {
  return plan.steps.length + 1;
}

/** Steps of a stage and of the stages it is built on: each made one layer. */
function countSteps(plan: Plan, stage: StagePlan): number {
  const { base } = stage.stage;
  const parent =
    base.kind === 'stage' ? plan.stages.find((other) => other.stage.index === base.index) : undefined;
  return stage.steps.length + (parent === undefined ? 0 : countSteps(plan, parent));
}

/** Waits for all; the first failure calls `stop`, waits until the others have ended, and is thrown. */
async function settleOrStop(
  work: readonly Promise<StageState>[],
  stop: (reason: unknown) => void,
): Promise<void> {
  let failed = false;
  let failure: unknown;
  const guarded = work.map((state) =>
    state
      .then(({ layers }) => settle(layers))
      .catch((error: unknown) => {
        if (failed) return;
        failed = true;
        failure = error;
        stop(error);
      }),
  );
  await Promise.all(guarded);
  if (failed) throw failure;
}
