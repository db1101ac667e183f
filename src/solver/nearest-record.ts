/** The recorded build of a step that comes closest to one the cache did not have. */
import type { KeyPart } from '../image/descriptor.ts';
import type { CacheRecord } from '../store/record-store.ts';

/** Parts that make two steps the same one to a reader, what they say before where they stand; the others weigh 1. */
const TELLING: readonly (readonly [RegExp, number])[] = [
  [/^(?:argv|script|destination|path)$/, 12],
  [/^parent$/, 8],
  [/^source \d+$/, 6],
];

/** The record with the most equal parts among those of the same kind; of several the latest. Undefined for none. */
export function nearestRecord(
  records: Iterable<CacheRecord>,
  parts: readonly KeyPart[],
): CacheRecord | undefined {
  const wanted = new Map(parts);
  let best: { record: CacheRecord; score: number } | undefined;
  for (const record of records) {
    // One that stands for another has its parts in the other as well, where inputs count by their bytes.
    if (record.contentKey !== undefined) continue;
    const score = scoreOf(record.parts, wanted);
    if (score === undefined || (best !== undefined && score < best.score)) continue;
    if (best !== undefined && score === best.score && record.layer.created <= best.record.layer.created)
      continue;
    best = { record, score };
  }
  return best?.record;
}

function scoreOf(parts: readonly KeyPart[], wanted: ReadonlyMap<string, string>): number | undefined {
  let score = 0;
  let telling = false;
  for (const [name, value] of parts) {
    const isEqual = wanted.get(name) === value;
    if (name === 'kind' && !isEqual) return undefined;
    if (!isEqual) continue;
    const weight = TELLING.find(([pattern]) => pattern.test(name))?.[1];
    telling ||= weight !== undefined;
    score += weight ?? 1;
  }
  // Two steps that have only a shell and a user in common are two steps.
  return telling ? score - Math.abs(parts.length - wanted.size) : undefined;
}
