/**
 * What a build tells while it is not known yet whether it must begin again inside a namespace. An attempt that is over
 * in a moment is told when it stands; one that takes longer is told as it goes, and inside nothing is told twice.
 */
import type { Emit, UntimedEvent } from '../progress/event.ts';

/** Milliseconds that a reader does not notice. */
const MOMENT = 100;

export class AttemptEvents {
  readonly #emit: Emit;
  readonly #timer: NodeJS.Timeout;
  readonly #events: UntimedEvent[] = [];
  #live = false;

  /** `emit` gets what is told. */
  constructor(emit: Emit) {
    this.#emit = emit;
    this.#timer = setTimeout(() => this.tell(), MOMENT);
  }

  /** Takes an event of the attempt. */
  readonly add: Emit = (event) => {
    this.#events.push(event);
    if (this.#live) this.#emit(event);
  };

  /** Tells what is held back, and from now on everything at once. */
  tell(): void {
    this.end();
    if (this.#live) return;
    this.#live = true;
    for (const event of this.#events) this.#emit(event);
  }

  /** The attempt is over; what is held back stays untold. */
  end(): void {
    clearTimeout(this.#timer);
  }

  /** Steps that really ran, by id, with their durations in milliseconds. */
  made(): ReadonlyMap<string, number> {
    const started = new Set<string>();
    const made = new Map<string, number>();
    for (const event of this.#events) {
      if (event.type === 'step-started') started.add(event.step.id);
      if (event.type === 'step-finished' && started.has(event.step.id))
        made.set(event.step.id, event.duration);
    }
    return made;
  }

  /** How the attempt that begins again is told. */
  again(): RepeatedEvents {
    return new RepeatedEvents({
      events: this.#events,
      told: this.#live,
      made: this.made(),
      emit: this.#emit,
    });
  }
}

/** The events of the second attempt: it finds in the cache what the first one made, but the reader is told the truth. */
class RepeatedEvents {
  readonly #emit: Emit;
  readonly #made: ReadonlyMap<string, number>;
  readonly #explained: ReadonlyMap<string, UntimedEvent>;
  /** What was told of the first attempt, and how often; steps by what may be told of them once. */
  readonly #told = new Map<string, number>();
  #taken = 0;

  constructor({
    events,
    told,
    made,
    emit,
  }: {
    readonly events: readonly UntimedEvent[];
    readonly told: boolean;
    readonly made: ReadonlyMap<string, number>;
    readonly emit: Emit;
  }) {
    this.#emit = emit;
    this.#made = made;
    this.#explained = new Map(
      events.flatMap((event) => (event.type === 'step-explained' ? [[event.step.id, event] as const] : [])),
    );
    if (!told) return;
    for (const event of events) {
      const key = onceKey(event);
      if (key !== undefined) this.#told.set(key, (this.#told.get(key) ?? 0) + 1);
    }
  }

  /** Steps that this attempt called cached, though this build made them. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes an event of the second attempt. */
  readonly add: Emit = (event) => {
    const restored = this.#restored(event);
    const key = onceKey(event);
    const times = key === undefined ? 0 : (this.#told.get(key) ?? 0);
    if (key !== undefined && times > 0) this.#told.set(key, times - 1);
    else this.#emit(restored);
  };

  #restored(event: UntimedEvent): UntimedEvent {
    if (event.type === 'step-explained' && this.#made.has(event.step.id))
      return this.#explained.get(event.step.id) ?? event;
    const duration = event.type === 'step-finished' ? this.#made.get(event.step.id) : undefined;
    if (event.type !== 'step-finished' || duration === undefined) return event;
    if (event.outcome === 'cached') this.#taken += 1;
    return { ...event, outcome: 'done', duration };
  }
}

/** By what an event is known again; undefined for what is told whenever it happens. */
function onceKey(event: UntimedEvent): string | undefined {
  switch (event.type) {
    case 'step-started':
    case 'step-explained':
    case 'step-finished':
      return `${event.type} ${event.step.id}`;
    case 'build-started':
    case 'warning':
    case 'note':
      return JSON.stringify(event);
    default:
      return undefined;
  }
}
