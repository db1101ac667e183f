import { expect, test } from 'vitest';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';

const FILES = {
  'keep.txt': '',
  'drop.log': '',
  'deep/a.log': '',
  'deep/b.txt': '',
  'deep/er/c.log': '',
  'secret/key': '',
  'secret/public': '',
  'node_modules/x/y.js': '',
  'sub/node_modules/z.js': '',
  '.git/config': '',
  '#literal': '',
  Dockerfile: '',
};

async function filesOf(ignore: string, files: Readonly<Record<string, string>> = FILES) {
  const work = new Workspace(ROOTLESS);
  work.writeAll(files);
  work.write('.dockerignore', ignore);
  const { image } = await work.build('FROM scratch\nCOPY . /\n');
  return [...image.tree.keys()].filter((name) => image.tree.get(name)?.type === 'file');
}

test('patterns, exceptions, comments, double stars', async () => {
  expect(
    await filesOf('# a comment\n*.log\n**/er\nsecret/*\n!secret/public\n**/node_modules\n/.git\n\n'),
  ).toEqual([
    '#literal',
    '.dockerignore',
    'Dockerfile',
    'deep/a.log',
    'deep/b.txt',
    'keep.txt',
    'secret/public',
  ]);
});

test('everything but a few, and the last match wins', async () => {
  expect(await filesOf('*\n!deep\ndeep/**/*.log\n!deep/a.log\n')).toEqual(['deep/a.log', 'deep/b.txt']);
});

test('DOCKERFILE.dockerignore is preferred', async () => {
  const work = new Workspace(ROOTLESS);
  work.writeAll({ a: '', b: '', '.dockerignore': 'a\n', 'Other.dockerignore': 'b\nOther*\n.dockerignore\n' });
  work.write('Other', 'FROM scratch\nCOPY . /\n');
  const layout = work.fresh('layout');
  const result = await work.kiln([
    'build',
    '-f',
    'Other',
    '--output',
    `type=oci,tar=false,dest=${layout}`,
    '.',
  ]);
  expect(result.stderr).not.toContain('rror');
  expect([...work.open(`oci:${layout}`).tree.keys()]).toEqual(['', 'a']);
});

test('a file that is ignored is not there to copy by name', async () => {
  const work = new Workspace(ROOTLESS);
  work.writeAll({ hidden: '', '.dockerignore': 'hidden\n' });
  const result = await work.tryBuild('FROM scratch\nCOPY hidden /\n');
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain('COPY_SOURCE_NOT_FOUND');
  expect(result.stderr).toContain('.dockerignore');
});

test('what is ignored does not change the cache', async () => {
  const work = new Workspace(ROOTLESS);
  work.writeAll({ kept: '1', 'noise.log': '1', '.dockerignore': '*.log\n.dockerignore\n' });
  const first = await work.build('FROM scratch\nCOPY . /\n');
  work.writeAll({ 'noise.log': '2', 'more.log': '3' });
  const second = await work.build('FROM scratch\nCOPY . /\n');
  expect(second.image.manifest.layers).toEqual(first.image.manifest.layers);
});
