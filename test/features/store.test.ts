import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';
import { run } from '../setup/run.ts';

const DOCKERFILE =
  'ARG BASE\nFROM $BASE\nCOPY f /f\nRUN head -c 16 /dev/urandom | sha256sum > /stamp\nRUN cat /f /stamp > /both\n';

function cachedSteps(text: string): number {
  return (text.match(/\bCACHED\b/g) ?? []).length;
}

describe.each(VARIANTS)('the cache as $user over $snapshotter', (variant) => {
  test('a second build takes every step from it and gives the same image', async () => {
    const work = new Workspace(variant);
    work.write('f', '1');
    const first = await work.build(DOCKERFILE);
    const second = await work.build(DOCKERFILE);
    expect(cachedSteps(first.result.stderr)).toBe(0);
    expect(cachedSteps(second.result.stderr)).toBe(3);
    expect(second.image.manifest).toEqual(first.image.manifest);
    expect(second.image.text('stamp')).toBe(first.image.text('stamp'));
  });

  test('a changed file, argument or instruction runs what depends on it', async () => {
    const work = new Workspace(variant);
    work.write('f', '1');
    const dockerfile =
      'ARG BASE\nFROM $BASE\nARG A=1\nRUN head -c 16 /dev/urandom | sha256sum > /before\nCOPY f /f\nRUN head -c 16 /dev/urandom | sha256sum > /after\n';
    const first = await work.build(dockerfile);
    work.write('f', '2');
    const changed = await work.build(dockerfile);
    expect(changed.image.text('before')).toBe(first.image.text('before'));
    expect(changed.image.text('after')).not.toBe(first.image.text('after'));
    const argued = await work.build(dockerfile, { buildArgs: { A: '2' } });
    expect(argued.image.text('before')).not.toBe(first.image.text('before'));
    work.shell('touch -d 2001-01-01 f; chmod 600 f');
    const mode = await work.build(dockerfile);
    expect(mode.image.text('after')).not.toBe(changed.image.text('after'));
    work.shell('touch f');
    const touched = await work.build(dockerfile);
    expect(touched.image.text('after')).toBe(mode.image.text('after'));
  });
});

test.each(VARIANTS)('nobody else may write to the store of $user over $snapshotter', async (variant) => {
  const work = new Workspace(variant);
  work.write('f', '1');
  await work.build(DOCKERFILE);
  // Files of images have the modes that their images say.
  const find = `find ${work.home} -path '*/snapshots/*' -prune -o ! -type l -perm /022 -print`;
  expect(work.shell(find)).toBe('');
});

describe('the cache', () => {
  test('--no-cache runs every step', async () => {
    const work = new Workspace(ROOTLESS);
    work.write('f', '1');
    const first = await work.build(DOCKERFILE);
    const second = await work.build(DOCKERFILE, { args: ['--no-cache'] });
    expect(cachedSteps(second.result.stderr)).toBe(0);
    expect(second.image.text('stamp')).not.toBe(first.image.text('stamp'));
  });

  test('a COPY --from depends on the bytes it copies, not on the stage that made them', async () => {
    const work = new Workspace(ROOTLESS);
    const dockerfile = (n: number) =>
      `ARG BASE\nFROM $BASE AS made\nRUN echo ${n} > /noise && echo same > /same && touch -d @1 /same\nFROM $BASE\nCOPY --from=made /same /same\nRUN head -c 16 /dev/urandom | sha256sum > /stamp\n`;
    const first = await work.build(dockerfile(1));
    const second = await work.build(dockerfile(2));
    expect(second.image.text('stamp')).toBe(first.image.text('stamp'));
  });

  test('a failed step is not remembered', async () => {
    const work = new Workspace(ROOTLESS);
    const dockerfile = 'ARG BASE\nFROM $BASE\nRUN echo before\nRUN exit 1\n';
    expect((await work.tryBuild(dockerfile)).exitCode).toBe(1);
    const second = await work.tryBuild(dockerfile);
    expect(second.exitCode).toBe(1);
    expect(cachedSteps(second.stderr)).toBe(1);
  });

  test('a layer whose bytes were damaged is refused, not shipped', async () => {
    const work = new Workspace(ROOTLESS);
    work.shell('head -c 3000000 /dev/urandom > f');
    await work.build('FROM scratch\nCOPY f /f\n');
    const blobs = join(work.home, 'blobs/sha256');
    const largest = readdirSync(blobs)
      .map((name) => join(blobs, name))
      .sort((a, b) => readFileSync(b).length - readFileSync(a).length)[0];
    run('chmod', ['u+w', largest ?? '']);
    appendFileSync(largest ?? '', 'damage');
    const layout = work.fresh('layout');
    const result = await work.tryBuild('FROM scratch\nCOPY f /f\n', {
      args: ['--output', `type=oci,tar=false,dest=${layout}`],
    });
    if (result.exitCode === 0) {
      const image = work.open(`oci:${layout}`);
      expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
    } else expect(result.stderr).toContain('STORE_CORRUPT');
  });
});

describe('the store', () => {
  test('is an OCI layout: skopeo and oci-image-tool read it as it is', async () => {
    const work = new Workspace(ROOTLESS);
    const result = await work.tryBuild('ARG BASE\nFROM $BASE\nLABEL a=b\n', {
      args: ['-t', 'app:1', '-t', 'example.com/team/app'],
    });
    expect(result.exitCode, result.stderr).toBe(0);
    for (const name of ['docker.io/library/app:1', 'example.com/team/app:latest']) {
      const image = work.open(`oci:${work.home}:${name}`);
      expect(image.config.config.Labels).toEqual({ a: 'b' });
      image.validate();
    }
    run('oci-image-tool', [
      'validate',
      '--type',
      'image',
      '--ref',
      'name=docker.io/library/app:1',
      work.home,
    ]);
  });

  test('images, history and inspect tell what is in it', async () => {
    const work = new Workspace(ROOTLESS);
    work.write('f', 'x'.repeat(5000));
    const built = await work.tryBuild('ARG BASE\nFROM $BASE\nCOPY f /f\nENV A=1\nCMD ["x"]\n', {
      args: ['-t', 'app:1'],
    });
    const id = built.stdout.trim();
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    const images = await work.kiln(['images']);
    expect(images.stdout).toMatch(/app\s+1\s+/);
    expect(images.stdout).toContain(id.slice(7, 19));
    const history = await work.kiln(['history', 'app:1']);
    for (const line of ['COPY f /f', 'ENV A=1', 'CMD ["x"]']) expect(history.stdout).toContain(line);
    const inspected = JSON.parse((await work.kiln(['inspect', 'app:1'])).stdout);
    expect(JSON.stringify(inspected)).toContain('"A=1"');
    expect(JSON.stringify(inspected)).toContain(id);
    const unknown = await work.kiln(['history', 'nothing']);
    expect(unknown.exitCode).toBe(1);
    expect(unknown.stderr).toContain('nothing');
  });

  test('a name moves to the newer image; FROM it finds it', async () => {
    const work = new Workspace(ROOTLESS);
    for (const n of [1, 2]) {
      const result = await work.tryBuild(`ARG BASE\nFROM $BASE\nRUN echo ${n} > /n\n`, {
        args: ['-t', 'local/base:x'],
      });
      expect(result.exitCode, result.stderr).toBe(0);
    }
    const { image } = await work.build('FROM local/base:x\nRUN cat /n > /seen\n');
    expect(image.text('seen')).toBe('2\n');
  });

  test('holds a shared layer once', async () => {
    const work = new Workspace(ROOTLESS);
    work.shell('head -c 4000000 /dev/urandom > f');
    for (const n of [1, 2, 3]) {
      const result = await work.tryBuild(`FROM scratch\nCOPY f /f\nLABEL n=${n}\n`, {
        args: ['-t', `app:${n}`],
      });
      expect(result.exitCode, result.stderr).toBe(0);
    }
    const used = Number(run('du', ['-s', '--block-size=1', work.home]).split('\t')[0]);
    expect(used).toBeLessThan(10_000_000);
  });
});
