/**
 * Which stages must give their result. A stage is looked up as far as the cache goes; what it has not is only run once
 * somebody needs the stage: who copies from it may find its own result in the cache instead.
 */
import type { Plan } from '../plan/plan.ts';

export class StageDemand {
  readonly #plan: Plan;
  readonly #wanted = new Set<number>();
  readonly #waiting = new Map<number, ((wanted: boolean) => void)[]>();
  #over = false;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  isWanted(stage: number): boolean {
    return this.#wanted.has(stage);
  }

  /** From now on the stage is needed, with the stages it is built on. */
  want(stage: number): void {
    if (this.#wanted.has(stage)) return;
    this.#wanted.add(stage);
    for (const resume of this.#waiting.get(stage) ?? []) resume(true);
    const base = this.#plan.stages.find((one) => one.stage.index === stage)?.stage.base;
    if (base?.kind === 'stage') this.want(base.index);
  }

  /** True as soon as the stage is needed; false when the build is over without it. */
  until(stage: number): Promise<boolean> {
    if (this.isWanted(stage) || this.#over) return Promise.resolve(this.isWanted(stage));
    return new Promise((resume) => {
      this.#waiting.set(stage, [...(this.#waiting.get(stage) ?? []), resume]);
    });
  }

  /** Nobody will need anything more. */
  end(): void {
    this.#over = true;
    for (const [stage, waiting] of this.#waiting) {
      if (!this.isWanted(stage)) for (const resume of waiting) resume(false);
    }
  }
}
