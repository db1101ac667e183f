/**
 * The key that a stage will end with, without running any of it. That is what the keys of who copies from it build on, so
 * a step can be found in a cache that knows nothing of the stages it copies from.
 */
import { BugError } from '../errors.ts';
import type { CacheKey, KeyPart } from '../image/descriptor.ts';
import type { Plan } from '../plan/plan.ts';
import type { InputRef } from '../plan/stage-graph.ts';
import { inputsOf, type StagePlan, type Step } from '../plan/step.ts';
import { aliasOf, findByDefinition, keyAfter } from './cache-lookup.ts';
import type { SolverContext } from './solver-context.ts';
import type { StageState } from './step-layer.ts';

/** Says that only running a stage tells its key. */
const UNKNOWN = Symbol('unknown');

/** A step's key by definition with its parts, and the key that what follows builds on. */
export interface Alias {
  readonly key: CacheKey;
  readonly parts: readonly KeyPart[];
  readonly contentKey: CacheKey;
}

export class KeyForecast {
  /** What was gone through on the way and has another key than its own for what follows. */
  readonly aliases: Alias[] = [];
  readonly #context: SolverContext;
  readonly #plan: Plan;
  readonly #inputOf: (input: InputRef) => Promise<StageState>;
  readonly #known = new Map<number, Promise<string | undefined>>();

  /** `inputOf` gives images and contexts; it is never asked for a stage. */
  constructor(context: SolverContext, plan: Plan, inputOf: (input: InputRef) => Promise<StageState>) {
    this.#context = context;
    this.#plan = plan;
    this.#inputOf = inputOf;
  }

  /** Undefined when a step of the stage reads others by their bytes and the cache has no record of it, or must be run. */
  of(stage: number): Promise<string | undefined> {
    let key = this.#known.get(stage);
    if (key === undefined) {
      key = this.#forecast(stage);
      this.#known.set(stage, key);
    }
    return key;
  }

  async #forecast(index: number): Promise<string | undefined> {
    const plan = this.#plan.stages.find(({ stage }) => stage.index === index);
    if (plan === undefined) throw new BugError(`stage ${index} is not part of the plan`);
    try {
      let key = await this.#keyOf(plan.stage.base);
      for (const step of plan.steps) key = await this.#after(step, { plan, key });
      return key;
    } catch (error) {
      if (error === UNKNOWN) return undefined;
      throw error;
    }
  }

  async #after(step: Step, { plan, key }: { plan: StagePlan; key: string }): Promise<string> {
    // Run again on purpose: what comes of it has a key of its own.
    if (step.noCache) throw UNKNOWN;
    const state = { layers: [], key };
    const { parts, found, ...own } = await findByDefinition(this.#context, {
      step,
      plan,
      state,
      keyOf: (input) => this.#keyOf(input),
      stageOf: (input) => this.#inputOf(input),
    });
    const contentKey = found === undefined ? await aliasOf(this.#context, own.key) : found.contentKey;
    if (contentKey !== undefined) this.aliases.push({ key: own.key, parts, contentKey });
    // Without a record, what follows builds on the bytes a step reads, which only its producers tell.
    const looser = inputsOf(step).some(({ kind }) => kind !== 'context');
    if (found === undefined && contentKey === undefined && looser) throw UNKNOWN;
    return keyAfter({ step, state }, contentKey ?? own.key);
  }

  async #keyOf(input: InputRef): Promise<string> {
    if (input.kind !== 'stage') return (await this.#inputOf(input)).key;
    const key = await this.of(input.index);
    if (key === undefined) throw UNKNOWN;
    return key;
  }
}
