import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { DirectoryTree } from '../../src/context/directory-tree.ts';
import { selectSource } from '../../src/solver/select-sources.ts';
import { patternSet } from '../../src/solver/step-sources.ts';
import { Turns } from '../../src/solver/turns.ts';

/** Files in directories: more than are looked at in one turn, `each` of them in a directory. */
function manyFiles(each: number): DirectoryTree {
  const root = mkdtempSync(join(tmpdir(), 'kiln-select-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (let index = 0; index < 3_000; index += 1) {
    const directory = join(root, `d${Math.floor(index / each)}`);
    if (index % each === 0) mkdirSync(directory);
    writeFileSync(join(directory, `f${index}`), '');
  }
  return new DirectoryTree(root, { clock: () => Date.now() });
}

const options = { place: 'the build context', exclude: undefined, makePatterns: patternSet };

test.each([
  ['of one directory', 3_000, false],
  ['of many directories', 2, false],
  ['with their parents', 30, true],
])('other work goes on while many files are selected, %s, and may end it', async (_name, each, parents) => {
  const tree = manyFiles(each);
  const pattern = parents ? '**' : '.';
  const ended = new AbortController();
  const [match] = await selectSource(tree, pattern, { ...options, parents, turns: new Turns(ended.signal) });
  expect(match?.files.filter(({ entry }) => entry.type === 'file')).toHaveLength(3_000);

  const selecting = selectSource(tree, pattern, { ...options, parents, turns: new Turns(ended.signal) });
  setImmediate(() => ended.abort(new Error('stop')));
  await expect(selecting).rejects.toThrow('stop');
});
