/** "Did you mean": the nearest known word, as BuildKit's util/suggest chooses it. */

/** A word further away than this is no longer a slip of the finger. */
const FARTHEST = 2;

/** Levenshtein distance in characters. */
function distance(from: string, to: string): number {
  const target = [...to];
  let row = target.map((_, index) => index + 1);
  let above = 0;
  for (const character of from) {
    const next: number[] = [];
    let diagonal = above;
    let left = above + 1;
    above += 1;
    for (const [index, other] of target.entries()) {
      const up = row[index] ?? 0;
      const here = Math.min(up + 1, left + 1, diagonal + (character === other ? 0 : 1));
      next.push(here);
      diagonal = up;
      left = here;
    }
    row = next;
  }
  return row.at(-1) ?? above;
}

/** How words are compared. */
export interface NearestOptions {
  /** Compare without case, and answer in the case of the word asked about. */
  readonly ignoreCase?: boolean;
}

function inCaseOf(word: string, model: string): string {
  if (model === model.toLowerCase()) return word.toLowerCase();
  if (model === model.toUpperCase()) return word.toUpperCase();
  return word;
}

/**
 * The option within edit distance 2 of `word`, the first of equally near ones. Undefined when none is that
 * near, and when `word` is itself an option: then the error has another cause.
 */
export function nearestWord(
  word: string,
  options: Iterable<string>,
  { ignoreCase = false }: NearestOptions = {},
): string | undefined {
  const wanted = ignoreCase ? word.toLowerCase() : word;
  let best: string | undefined;
  let bestDistance = FARTHEST + 1;
  for (const option of options) {
    const candidate = ignoreCase ? option.toLowerCase() : option;
    if (candidate === wanted) return undefined;
    const away = distance(wanted, candidate);
    if (away >= bestDistance) continue;
    bestDistance = away;
    best = ignoreCase ? inCaseOf(candidate, word) : candidate;
  }
  return best;
}

/** The sentence for an error's suggestions; none when no option is near. */
export function didYouMean(
  word: string,
  options: Iterable<string>,
  settings: NearestOptions & { readonly prefix?: string } = {},
): string[] {
  const near = nearestWord(word, options, settings);
  return near === undefined ? [] : [`Did you mean ${settings.prefix ?? ''}${near}?`];
}
