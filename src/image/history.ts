/** Times of history entries that fill no layer, as BuildKit's exporter gives them. */
import type { HistoryEntry } from './image-config.ts';

/**
 * Gives a time to the entries that have none: up to the first entry after them that has one, that time, which is when
 * the first new layer was made and not the base image; further on, the time of the entry before. Where none follows,
 * the last that was before. With no time at all they stay without one.
 */
export function fillTimes(history: readonly HistoryEntry[]): HistoryEntry[] {
  const first = history.findIndex(({ created }) => created === undefined);
  if (first < 0) return [...history];
  let time =
    history.slice(first).find(({ created }) => created !== undefined)?.created ?? history[first - 1]?.created;
  return history.map((entry, index) => {
    if (index < first) return entry;
    time = entry.created ?? time;
    return time === undefined ? entry : { created: time, ...entry };
  });
}
