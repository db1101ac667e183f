import { expect, test } from 'vitest';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';

test('triggers run in the child, once, after its FROM, and are gone from its config', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('app.txt', 'from the child');
  const parent = work.fresh('parent');
  const base = await work.tryBuild(
    'ARG BASE\nFROM $BASE\nWORKDIR /app\nONBUILD COPY app.txt .\nONBUILD RUN cp app.txt seen\nONBUILD ENV TRIGGERED=yes\n',
    { args: ['--output', `type=oci,tar=false,dest=${parent}`, '-t', 'parent'] },
  );
  expect(base.stderr).not.toContain('error');
  expect(work.open(`oci:${parent}`).config.config.OnBuild).toEqual([
    'COPY app.txt .',
    'RUN cp app.txt seen',
    'ENV TRIGGERED=yes',
  ]);

  const child = await work.build('ARG BASE\nFROM $BASE\nRUN cat seen > last\n', { base: `oci:${parent}` });
  expect(child.image.text('app/last')).toBe('from the child');
  expect(child.image.config.config.Env).toContain('TRIGGERED=yes');
  expect(child.image.config.config.OnBuild ?? []).toEqual([]);

  const layout = work.fresh('child');
  await work.tryBuild('ARG BASE\nFROM $BASE\n', {
    base: `oci:${parent}`,
    args: ['--output', `type=oci,tar=false,dest=${layout}`],
  });
  const grandchild = await work.build('ARG BASE\nFROM $BASE\n', { base: `oci:${layout}` });
  expect(grandchild.image.manifest.layers.length).toBe(work.open(`oci:${layout}`).manifest.layers.length);
});

test('triggers of a stage run in a stage built on it', async () => {
  const work = new Workspace(ROOTLESS);
  const { image } = await work.build(`
    ARG BASE
    FROM $BASE AS parent
    ONBUILD RUN echo triggered > /triggered
    FROM parent
    RUN cat /triggered > /seen
  `);
  expect(image.text('seen')).toBe('triggered\n');
});
