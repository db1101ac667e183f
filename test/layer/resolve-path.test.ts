/** Paths through symlinks: fuzzed against Python's realpath in a chroot of the very tree. */
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emptyTree } from '../../src/layer/empty-tree.ts';
import type { FileTree } from '../../src/layer/file-tree.ts';
import { resolvePath } from '../../src/layer/resolve-path.ts';
import { entry } from './layers.ts';

interface Case {
  /** Symlink targets by path; null is a directory, "" a file. */
  readonly nodes: Readonly<Record<string, string | null>>;
  readonly path: string;
}

const part = fc.constantFrom('a', 'b', 'c', '..', '.', '');
const words = fc.array(part, { minLength: 1, maxLength: 5 });
const target = fc
  .tuple(fc.boolean(), words)
  .map(([rooted, parts]) => `${rooted ? '/' : ''}${parts.join('/') || '.'}`);
const node = fc.oneof(fc.constant(null), fc.constant(''), target);
const name = fc.constantFrom('a', 'b', 'c');
const children = fc.dictionary(name, node, { noNullPrototype: true });

/** Two levels: every directory of the upper one has children of its own. */
const cases: fc.Arbitrary<Case> = fc
  .record({ top: children, below: fc.dictionary(name, children, { noNullPrototype: true }), path: words })
  .map(({ top, below, path }) => {
    const nodes: Record<string, string | null> = { ...top };
    for (const [parent, inside] of Object.entries(below)) {
      nodes[parent] = null;
      for (const [child, value] of Object.entries(inside)) nodes[`${parent}/${child}`] = value;
    }
    return { nodes, path: path.join('/') };
  });

/** Reads cases as JSON lines; makes each tree, enters it by chroot, prints what realpath says; null for a loop. */
const ORACLE = `
import json, os, shutil, sys, tempfile
for line in sys.stdin:
    case = json.loads(line)
    root = tempfile.mkdtemp()
    for path, node in sorted(case["nodes"].items()):
        full = os.path.join(root, path)
        if node is None: os.mkdir(full)
        elif node == "": open(full, "w").close()
        else: os.symlink(node, full)
    read, write = os.pipe()
    if os.fork() == 0:
        os.chroot(root); os.chdir("/")
        try:
            os.path.realpath("/" + case["path"], strict=True)
        except OSError as error:
            if error.errno == 40: os.write(write, b"null"); os._exit(0)
        os.write(write, json.dumps(os.path.realpath("/" + case["path"])).encode()); os._exit(0)
    os.wait()
    print(os.read(read, 65536).decode())
    os.close(read); os.close(write); shutil.rmtree(root)
`;

function treeOf({ nodes }: Case): FileTree {
  return {
    ...emptyTree,
    lstat: (path) => {
      const found = path === '' ? null : nodes[path];
      if (found === undefined) return undefined;
      if (found === null) return entry(path, { type: 'directory' });
      return found === '' ? entry(path) : entry(path, { type: 'symlink', linkTarget: found });
    },
  };
}

test('are resolved as the kernel does in a chroot', () => {
  const samples = fc.sample(cases, { numRuns: 300, seed: 7 });
  const input = samples.map((sample) => `${JSON.stringify(sample)}\n`).join('');
  const { stdout, status, stderr } = spawnSync('python3', ['-c', ORACLE], { input, encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  let loops = 0;
  for (const [index, line] of stdout.trim().split('\n').entries()) {
    const sample = samples[index];
    if (sample === undefined) throw new Error('more answers than cases');
    const said = JSON.parse(line) as string | null;
    const resolve = (): string => `/${resolvePath(treeOf(sample), sample.path, { followLast: true })}`;
    if (said === null) {
      loops += 1;
      expect(resolve, JSON.stringify(sample)).toThrow(/too many levels/);
    } else expect(resolve(), JSON.stringify(sample)).toBe(said.replace(/^\/+/, '/'));
  }
  expect(loops).toBeLessThan(samples.length / 2);
});

test('within a directory nothing leads out of it', () => {
  fc.assert(
    fc.property(cases, (sample) => {
      const tree = treeOf({ ...sample, nodes: { ...sample.nodes, a: null } });
      let found: string;
      try {
        found = resolvePath(tree, sample.path, { followLast: true, within: 'a' });
      } catch (error) {
        expect(String(error)).toMatch(/leads out of|too many levels/);
        return;
      }
      expect(found === 'a' || found.startsWith('a/')).toBe(true);
    }),
  );
});
