/** Layers larger than memory should be: what a layer holds is never held. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../setup/run.ts';
import { Place } from './layers.ts';

const SOURCE = join(import.meta.dirname, '../../src/layer');

const SCRIPT = `
  import { mkdirSync } from 'node:fs';
  import { packTree } from '${SOURCE}/pack-tree.ts';
  import { unpackLayer } from '${SOURCE}/unpack.ts';
  const [directory, path] = process.argv.slice(1);
  const size = 2 ** 30;
  const entry = { path: 'big', type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: 0, size };
  const forms = [{ compression: 'gzip', level: 1 }, { compression: 'zstd', level: 1 }];
  mkdirSync(directory + '/layer');
  const output = { directory: directory + '/layer', forms, epoch: undefined };
  const layer = await packTree([{ entry, content: { kind: 'file', path } }], output);
  for (const { path: blob, compression } of layer.blobs) {
    const target = directory + '/' + compression;
    mkdirSync(target);
    await unpackLayer({ blob, compression, diffId: layer.diffId, directory: target, toc: target + '.toc' });
  }
  console.log(process.resourceUsage().maxRSS);
`;

test('a gigabyte is packed in three forms and unpacked again in less than 300 MB', () => {
  const place = new Place();
  const big = place.path('big');
  run('truncate', ['-s', '1G', big]);
  // Something between the zeros, so that blocks differ.
  run('sh', [
    '-c',
    'for i in 1 200 500 900; do head -c 3000000 /dev/urandom | dd of=$1 bs=1M seek=$i conv=notrunc status=none; done',
    'sh',
    big,
  ]);
  const kilobytes = Number(
    run(process.execPath, ['--input-type=module-typescript', '-e', SCRIPT, place.make('work'), big]),
  );
  expect(kilobytes).toBeGreaterThan(30_000);
  expect(kilobytes).toBeLessThan(300_000);
});
