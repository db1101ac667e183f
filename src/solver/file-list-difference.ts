/** What differs between two lists of files (step-sources.ts writes them): paths that came, went, or changed, and how. */
import { toText } from '../system/byte-path.ts';

export interface ChangedFile {
  /** Text; for a COPY the path as it was named, and what is below it. */
  readonly path: string;
  readonly change: 'added' | 'removed' | 'content' | 'mode' | 'owner' | 'type' | 'link' | 'attributes';
}

/** Every difference, changed files first, in the order of their lists. */
export function fileListDifference(before: string, after: string): ChangedFile[] {
  const old = parse(before);
  const now = parse(after);
  const changed: ChangedFile[] = [];
  const added: ChangedFile[] = [];
  for (const [path, line] of now) {
    const was = old.get(path);
    if (was === undefined) added.push({ path, change: 'added' });
    else if (was !== line) changed.push({ path, change: changeOf(was, line) });
  }
  const removed = [...old.keys()].filter((path) => !now.has(path));
  return [...changed, ...added, ...removed.map((path): ChangedFile => ({ path, change: 'removed' }))];
}

function parse(list: string): Map<string, string> {
  const files = new Map<string, string>();
  let match = '';
  for (const line of list.split('\n')) {
    if (line.startsWith('match ')) {
      match = nameIn(line.slice('match '.length));
      continue;
    }
    const quoted = /^"(?:[^"\\]|\\.)*"/.exec(line)?.[0];
    if (quoted === undefined) continue;
    const path = [match, nameIn(quoted)].filter((part) => part !== '').join('/');
    files.set(path === '' ? '.' : path, line.slice(quoted.length + 1));
  }
  return files;
}

function nameIn(json: string): string {
  try {
    return toText(String(JSON.parse(json)));
  } catch {
    return json; // A list from elsewhere may hold anything; it is only shown.
  }
}

/** Fields of a line, in the order in which a reader would ask for them. */
function changeOf(before: string, after: string): ChangedFile['change'] {
  const [old, now] = [before.split(' '), after.split(' ')];
  const differs = (index: number): boolean => old[index] !== now[index];
  if (differs(0)) return 'type';
  if (differs(3)) return 'content';
  if (differs(1)) return 'mode';
  if (differs(2)) return 'owner';
  return old[0] === 'symlink' || differs(4) ? 'link' : 'attributes';
}
