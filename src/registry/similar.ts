/** Names that look like another: for suggestions after a typing error. */

/** The `count` names that need the fewest edits to become `wanted`; a name that starts with it counts as close. */
export function closestNames(wanted: string, names: readonly string[], count: number): string[] {
  const ranked = names.slice(0, 5000).map((name, position) => ({
    name,
    position,
    distance: name.startsWith(wanted) ? 1 : editDistance(wanted.slice(0, 128), name.slice(0, 128)),
  }));
  ranked.sort((a, b) => a.distance - b.distance || b.position - a.position);
  return ranked.slice(0, count).map(({ name }) => name);
}

/** Insertions, deletions and replacements from one text to the other (Levenshtein). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
