import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';

test('an unchanged context costs one lstat a file and no reads', async () => {
  const work = new Workspace(ROOTLESS);
  for (let n = 0; n < 50; n++) work.write(`src/d${n % 5}/f${n}`, `${n}`);
  work.writeAll({ '.dockerignore': '**/*.log\n!src/d1/kept.log\n', 'src/x.log': '', 'src/d1/kept.log': '1' });
  const dockerfile = 'FROM scratch\nCOPY src /src\n';
  await work.build(dockerfile);
  const trace = work.fresh('trace');
  const { stderr } = await work.tryBuild(dockerfile, {
    wrapper: ['strace', '-f', '-qq', '-e', 'trace=%file', '-o', trace],
  });
  expect(stderr).toContain('CACHED');
  const calls = readFileSync(trace, 'utf8').split('\n');
  const onFiles = calls.filter((line) => /\/src\/d\d\/(?:f\d+|kept\.log)"/.test(line));
  expect(onFiles.filter((line) => /\bopen|xattr/.test(line))).toEqual([]);
  expect(onFiles).toHaveLength(51);
  expect(calls.filter((line) => line.includes('x.log"'))).toEqual([]);
});
