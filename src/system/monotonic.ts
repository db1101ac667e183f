/** A clock that nobody sets, for how long things take. */

/** Milliseconds since some moment in the past. Not `performance.now()`, whose module alone takes one to load. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
