/** Times and sizes as the reader sees them, and the lines that end a build in every view. */
import type { BuildEvent } from './event.ts';

/** "12.3s". Seconds stay seconds, so that times can be compared and sorted. */
export function seconds(milliseconds: number, digits = 1): string {
  return `${(Math.max(0, milliseconds) / 1000).toFixed(digits)}s`;
}

/** "31.2 MB": decimal units, as docker and registries count. */
function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  // 999.95 would be printed as "1000.0", which belongs to the next unit.
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

type EventOf<T extends BuildEvent['type']> = Extract<BuildEvent, { type: T }>;

/** "12.3 MB / 40.1 MB", "300 files". */
export function amount(event: EventOf<'step-progress'>): string {
  if (event.unit === 'files') {
    return event.total === undefined ? `${event.current} files` : `${event.current}/${event.total} files`;
  }
  const current = bytes(event.current);
  return event.total === undefined ? current : `${current} / ${bytes(event.total)}`;
}

/** "miss: the command differs: …". */
export function explanation({ cache, reason }: EventOf<'step-explained'>): string {
  return `${cache === 'not-needed' ? 'not needed' : cache}: ${reason}`;
}

/** What came out of a build: time, cached steps, digests, names. */
export function summaryLines(event: EventOf<'build-finished'>): string[] {
  const lines = [`built in ${seconds(event.duration)}, ${event.cached}/${event.steps} steps cached`];
  if (event.imageId !== undefined) lines.push(`image ${event.imageId}`);
  if (event.manifest !== undefined) lines.push(`manifest ${event.manifest}`);
  for (const name of event.names) lines.push(`name ${name}`);
  return lines;
}

/** "JSONArgsRecommended: JSON arguments recommended … (line 3)". */
export function warningLine(event: EventOf<'warning'>): string {
  const rule = event.rule === undefined ? '' : `${event.rule}: `;
  const line = event.line === undefined ? '' : ` (line ${event.line})`;
  const url = event.url === undefined ? '' : ` ${event.url}`;
  return `${rule}${event.message}${line}${url}`;
}

/**
 * One line at the end that says which warnings went by, or undefined. They were printed in full where they
 * arose (a build that is killed later has still said them); at the end only their names are repeated.
 */
export function warningSummary(warnings: readonly EventOf<'warning'>[]): string | undefined {
  if (warnings.length === 0) return undefined;
  const names = warnings.map(({ rule, line }) => {
    const name = rule ?? 'warning';
    return line === undefined ? name : `${name} (line ${line})`;
  });
  const count = warnings.length === 1 ? '1 warning' : `${warnings.length} warnings`;
  return `${count} above: ${[...new Set(names)].join(', ')}`;
}
