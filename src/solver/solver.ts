/**
 * Walks the plan: stages side by side, steps of a stage in order, each looked up before it is run. Holds no knowledge
 * of how a step is run; that is in run-step.ts and transfer-step.ts.
 */
import { setImmediate } from 'node:timers/promises';
import { located } from '../errors.ts';
import type { Plan } from '../plan/plan.ts';
import { type InputRef, inputKey } from '../plan/stage-graph.ts';
import { scopeId, stepPrefix } from '../plan/stage-state.ts';
import { inputsOf, type StagePlan, type Step } from '../plan/step.ts';
import { type Definition, findByDefinition, lookUp, remember } from './cache-lookup.ts';
import { beginsEarly } from './early-step.ts';
import { explainStep, explainUnneeded, explainUnused } from './explain-cache.ts';
import { type Alias, KeyForecast } from './key-forecast.ts';
import { firstStepLabel, labelOf } from './labels.ts';
import { layerUse } from './layer-use.ts';
import { lineage } from './lineage.ts';
import type { SolverContext } from './solver-context.ts';
import { StageDemand } from './stage-demand.ts';
import { executeStep, imageState } from './stage-steps.ts';
import { type SettledLayer, type StageState, type StepLayer, settle } from './step-layer.ts';
import type { StepRequest } from './step-request.ts';
import { timedLayer } from './timed-layer.ts';

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
  readonly #demand: StageDemand;
  readonly #forecast: KeyForecast;
  /** Stages that nobody needed the end of. */
  readonly #unfinished = new Set<number>();

  constructor(plan: Plan, context: SolverContext) {
    this.#plan = plan;
    this.#context = context;
    this.#demand = new StageDemand(plan);
    this.#forecast = new KeyForecast(context, plan, (input) => this.#input(input));
  }

  /** Solves the target and what it needs. The first failure stops everything that runs. */
  async solve(): Promise<SolvedStage> {
    const { target } = this.#plan;
    if (this.#context.options.explain) explainUnneeded(this.#context, this.#plan);
    this.#demand.want(target.stage.index);
    // All start at once; each goes as far as the cache does, and on when somebody needs it.
    const running = this.#plan.stages.map((stage) => this.stage(stage.stage.index));
    const state = this.stage(target.stage.index);
    state.then(
      () => this.#demand.end(),
      () => this.#demand.end(),
    );
    await settleOrStop(running, this.#context.stop);
    const { layers: stack } = await state;
    // A failure of one does not end the build before the others have ended.
    await Promise.allSettled(stack.map((layer) => layer.settled));
    const layers = await settle(stack);
    return { plan: target, layers, baseLayers: layers.length - countSteps(this.#plan, target) };
  }

  /**
   * Keys of the stages that the target only reads from, as far as they can be told without them: with these, a cache that
   * has the target's own steps serves a machine that has nothing else.
   */
  async aliases(): Promise<readonly Alias[]> {
    const forecast = new KeyForecast(this.#context, this.#plan, (input) => this.#input(input));
    const own = new Set(lineage(this.#plan, this.#plan.target).map(({ stage }) => stage.index));
    for (const { stage } of this.#plan.stages) if (!own.has(stage.index)) await forecast.of(stage.index);
    return [...new Map(forecast.aliases.map((alias) => [alias.key, alias])).values()];
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
    for (const [number, step] of plan.steps.entries()) {
      this.#context.signal.throwIfAborted();
      const label = labelOf(step);
      const request = {
        step,
        state,
        plan,
        keyOf: (input: InputRef) => this.#keyOf(input),
        stageOf: (input: InputRef) => this.#stateOf(input),
      };
      const { goesOn, first } = await this.#begin(request, number);
      if (!goesOn) return state;
      const run = (): Promise<StepLayer> => this.#run(request, number);
      const { explain } = this.#context.options;
      // Explained first, then begun: the answer is to stand above what the step does.
      const early = !explain && (await beginsEarly(this.#context, request)) ? started(run()) : undefined;
      // The main thread reads for the key as soon as the other one has its work.
      if (early !== undefined) await setImmediate();
      const found = await lookUp(this.#context, request, first).catch((error: unknown) => {
        throw located(error, step.location);
      });
      if (explain) await explainStep(this.#context, { request, found, plan: this.#plan });
      const solved = { step, stage: plan.stage.index, records: found.records };
      if (found.hit !== undefined && early === undefined) {
        const layer = timedLayer(this.#context, found.hit, layerUse(this.#plan, { stage: plan, number }));
        this.#context.reportCached(label);
        this.#context.options.onStep?.({ ...solved, cached: true, layer });
        state = { layers: [...state.layers, layer], key: found.key };
        continue;
      }
      const layer = await (early ?? run());
      const settled = layer.settled.then((result) =>
        remember(this.#context, found, { layer: result, state: request.state }),
      );
      // A failure surfaces where the stage is waited for; until then it must not count as unhandled.
      settled.catch(() => undefined);
      const made = { ...layer, settled };
      this.#context.options.onStep?.({ ...solved, cached: false, layer: made });
      state = { layers: [...state.layers, made], key: found.key };
    }
    return state;
  }

  #run(request: StepRequest, number: number): Promise<StepLayer> {
    const { step, plan } = request;
    const use = layerUse(this.#plan, { stage: plan, number });
    return this.#context.runStep(labelOf(step), (reporter) =>
      executeStep(this.#context, { ...request, use, reporter }),
    );
  }

  /**
   * The first answer to a step, and whether the stage goes on: the cache has the step by name, or its stage is needed.
   * `number` counts the stage's steps from 0.
   */
  async #begin(request: StepRequest, number: number): Promise<{ goesOn: boolean; first?: Definition }> {
    const { step, plan } = request;
    const { index, base } = plan.stage;
    const rest = plan.steps.slice(number);
    const wanted = this.#demand.isWanted(index);
    const reads = rest.flatMap(inputsOf).flatMap((input) => (input.kind === 'stage' ? [input.index] : []));
    if (wanted && reads.length === 0) return { goesOn: true };
    if (wanted && !(await this.#isForeseen(step))) await this.#wantAhead(rest);
    // A stage on another one that ended before its time has nothing to stand on.
    const stands = base.kind !== 'stage' || !this.#unfinished.has(base.index);
    if (wanted || (stands && (await this.#isForeseen(step)))) {
      const first = await findByDefinition(this.#context, request);
      if (first.found !== undefined) return { goesOn: true, first };
    }
    if (await this.#demand.until(index)) {
      // What the rest of the stage reads is made at the same time.
      for (const stage of reads) this.#demand.want(stage);
      return { goesOn: true };
    }
    this.#unfinished.add(index);
    if (this.#context.options.explain) explainUnused(this.#context, rest);
    return { goesOn: false };
  }

  /**
   * The first of these steps waits for a stage to be made. Stages that the others will need as surely are made at the
   * same time: those whose keys nothing but making them tells, and, where no cache of others may have the step that
   * reads them, all.
   */
  async #wantAhead(steps: readonly Step[]): Promise<void> {
    const alone = this.#context.options.recordSources.length === 0;
    for (const step of steps) {
      for (const input of inputsOf(step)) {
        if (input.kind !== 'stage') continue;
        const needed = alone || step.noCache || (await this.#forecast.of(input.index)) === undefined;
        if (needed) this.#demand.want(input.index);
      }
    }
  }

  /** True when the keys of all stages a step reads can be told without running any. */
  async #isForeseen(step: Step): Promise<boolean> {
    for (const input of inputsOf(step)) {
      if (input.kind === 'stage' && (await this.#forecast.of(input.index)) === undefined) return false;
    }
    return true;
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
    if (input.kind !== 'stage') return this.#input(input);
    this.#demand.want(input.index);
    return this.stage(input.index);
  }

  async #keyOf(input: InputRef): Promise<string> {
    const foreseen = input.kind === 'stage' ? await this.#forecast.of(input.index) : undefined;
    return foreseen ?? (await this.#stateOf(input)).key;
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

/** Work whose failure is met later; until then it must not count as unhandled. */
function started<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return work;
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
      // Layers that nobody needs with the times of this build stay as the cache has them.
      .then(({ layers }) => settle(layers.filter(({ idle }) => idle !== true)))
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
