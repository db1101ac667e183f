/**
 * Times in a layer, and what must be known of them to give the layer another SOURCE_DATE_EPOCH later: exactly the times
 * that packing with it would have given. Seconds since 1970 everywhere.
 *
 * With an epoch, no time is later than it, and what gets its time from the build has exactly it. So an entry that has the
 * epoch as its time has lost its own; where that matters, it is written down beside the layer.
 */

/**
 * Where the time of an entry comes from. `build`: from the build itself (a directory it made, a file of a context that was
 * cloned or saved at some time). `source`: from whoever made the file (a member of an archive, a download). Without
 * either, from a layer below, from another stage, or from a process.
 */
export type TimeOrigin = 'build' | 'source';

/** Entries from number `first` on whose header does not tell their own time; null where that is the build's. */
export type ToldTimes = readonly (readonly [first: number, count: number, time: number | null])[];

/** What a cache record says of its layer's times. */
export interface LayerTimes {
  /** The epoch that the layer was packed with; undefined: real times. */
  readonly epoch?: number | undefined;
  readonly told?: ToldTimes | undefined;
  /** No later epoch can be given: times between it and that one are not known. */
  readonly until?: number | undefined;
  /** Of a layer with real times: the earliest one that the build gave. */
  readonly since?: number | undefined;
}

/** Times of a packed layer, before it is known what the layers hold that it was made from. */
export interface PackedTimes extends LayerTimes {
  /** Times from layers, each once, that are not known to be of this build. */
  readonly carried: readonly number[];
}

/** More of them make a record too long; they are then summed up by `until`. */
const MAX_TOLD = 256;

/** Gives entries their times while a layer is packed, and keeps account of them. */
export class TimeKeeper {
  readonly #epoch: number | undefined;
  readonly #began: number;
  readonly #carried = new Set<number>();
  #told: [first: number, count: number, time: number | null][] = [];
  /** The earliest time that is told, or would be if there were not too many. */
  #earliest = Number.POSITIVE_INFINITY;
  #number = 0;

  /** `began`: processes of the build give times from then on. */
  constructor({ epoch, began }: { readonly epoch: number | undefined; readonly began: number | undefined }) {
    this.#epoch = epoch;
    this.#began = began ?? Number.POSITIVE_INFINITY;
  }

  /** The time that the next entry of the layer gets. */
  give(time: number, origin: TimeOrigin | undefined): number {
    const epoch = this.#epoch;
    const ours = origin === 'build' || (origin === undefined && time >= this.#began);
    if (!ours && origin === undefined) this.#carried.add(time);
    if (epoch === undefined) {
      if (ours) this.#tell(null, time);
    } else if (!ours && (time > epoch || (time === epoch && origin === 'source'))) this.#tell(time, time);
    this.#number += 1;
    if (epoch === undefined) return time;
    return origin === 'build' ? epoch : Math.min(time, epoch);
  }

  #tell(time: number | null, real: number): void {
    this.#earliest = Math.min(this.#earliest, real);
    const last = this.#told.at(-1);
    if (last !== undefined && last[0] + last[1] === this.#number && last[2] === time) last[1] += 1;
    else if (this.#told.length <= MAX_TOLD) this.#told.push([this.#number, 1, time]);
  }

  times(): PackedTimes {
    const known = Number.isFinite(this.#earliest) ? this.#earliest : undefined;
    const tooMany = this.#told.length > MAX_TOLD;
    return {
      epoch: this.#epoch,
      told: tooMany || known === undefined ? undefined : this.#told,
      until: tooMany ? known : undefined,
      since: this.#epoch === undefined ? known : undefined,
      carried: [...this.#carried],
    };
  }
}

/** The times of a layer that was made from others: its own, and what it may have from those. */
export function timesOn(
  { carried, ...own }: PackedTimes,
  below: readonly (LayerTimes | undefined)[],
): LayerTimes {
  const { epoch } = own;
  if (epoch !== undefined) {
    // What has the epoch as its time may have lost another one further down.
    return carried.includes(epoch)
      ? plain({ ...own, until: earliest([own.until, ...below.map(lost)]) })
      : plain(own);
  }
  const since = earliest(below.map((times) => times?.epoch ?? times?.since));
  const unsure = since === undefined ? [] : carried.filter((time) => time >= since);
  return plain({
    ...own,
    until: earliest([own.until, ...unsure]),
    since: earliest([own.since, ...unsure]),
  });
}

/** The earliest time that a layer does not show. */
function lost(times: LayerTimes | undefined): number | undefined {
  return earliest([times?.until, ...(times?.told ?? []).map(([, , time]) => time ?? undefined)]);
}

/** The earliest of the times that are known. */
export function earliest(times: Iterable<number | undefined>): number | undefined {
  let first: number | undefined;
  for (const time of times) if (time !== undefined && (first === undefined || time < first)) first = time;
  return first;
}

function plain({ epoch, told, until, since }: LayerTimes): LayerTimes {
  return {
    ...(epoch === undefined ? {} : { epoch }),
    ...(told === undefined ? {} : { told }),
    ...(until === undefined ? {} : { until }),
    ...(since === undefined ? {} : { since }),
  };
}

/** True when a layer with these times serves a build with this epoch as it is. Without one, times do not matter. */
export function hasTimesOf(times: LayerTimes | undefined, epoch: number | undefined): boolean {
  return epoch === undefined || (times !== undefined && times.epoch === epoch);
}

/** True when a layer with these times can be given those of a build with this epoch. */
export function canBeGiven(times: LayerTimes | undefined, epoch: number): boolean {
  return times !== undefined && (times.until === undefined || epoch <= times.until);
}

/** When an entry was made, and where that time comes from; without an origin, neither is sure. */
export interface OwnTime {
  readonly time: number;
  readonly origin: TimeOrigin | undefined;
}

/** An entry's own time, told from its number in the layer and the time in its header. */
export function ownTime({ epoch, told = [] }: LayerTimes, number: number, time: number): OwnTime {
  // The last run that begins at the entry or before it.
  let [low, high] = [0, told.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((told[middle]?.[0] ?? 0) <= number) low = middle + 1;
    else high = middle;
  }
  const [first, count, own] = told[low - 1] ?? [0, 0, null];
  if (number < first + count)
    return own === null ? { time, origin: 'build' } : { time: own, origin: 'source' };
  return { time, origin: time === epoch ? 'build' : 'source' };
}
