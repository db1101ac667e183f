/** Copies of layers that packing makes for a layout. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Digest } from '../../src/image/descriptor.ts';
import type { PackedLayer } from '../../src/layer/layer-writer.ts';
import { LayoutCopies, layoutBlob } from '../../src/output/layout-copies.ts';
import { parseOutput } from '../../src/output/output-spec.ts';
import { file, Place } from '../layer/layers.ts';

function copiesFor(...outputs: string[]): LayoutCopies {
  const copies = new LayoutCopies(outputs.map((output) => parseOutput(output, [])));
  onTestFinished(() => copies.close());
  return copies;
}

/** A layer of some size, packed in a form, with a copy if the layout wants one. */
async function pack(
  copies: LayoutCopies,
  { size, compression }: { readonly size: number; readonly compression: 'gzip' | 'zstd' },
): Promise<{ readonly blob: PackedLayer['blobs'][number]; readonly wanted: boolean }> {
  const form = { compression, level: undefined };
  const copy = copies.begin(form);
  const packed = await new Place().pack([file('f', randomBytes(size))], {
    forms: [{ ...form, copy }],
    plain: false,
  });
  const [blob] = packed.blobs;
  if (blob === undefined) throw new Error('no blob');
  if (blob.copy !== undefined) copies.made(blob.copy, blob);
  return { blob, wanted: copy !== undefined };
}

/** Every file below a directory. */
function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test('a large layer is in the layout as it is in the store, and seen there no sooner', async () => {
  const destination = join(new Place().directory, 'not', 'there');
  const copies = copiesFor('type=docker,dest=/nowhere.tar', `type=oci,tar=false,dest=${destination}`);
  const { blob } = await pack(copies, { size: 20 << 20, compression: 'gzip' });
  expect(existsSync(dirname(destination))).toBe(false);
  const path = layoutBlob(destination, blob.digest);
  mkdirSync(dirname(path), { recursive: true });
  expect(copies.place(destination, blob.digest)).toBe(true);
  expect(files(destination)).toEqual([path]);
  expect(readFileSync(path).equals(readFileSync(blob.path))).toBe(true);
});

test('what the layout does not want, or a few bytes, is left to be copied', async () => {
  const { directory } = new Place();
  const copies = copiesFor(`type=oci,tar=false,dest=${directory}`);
  const zstd = await pack(copies, { size: 3 << 20, compression: 'zstd' });
  expect(zstd.wanted).toBe(false);
  const small = await pack(copies, { size: 100, compression: 'gzip' });
  expect(small.wanted).toBe(true);
  const unknown = `sha256:${'0'.repeat(64)}` as Digest;
  for (const digest of [zstd.blob.digest, small.blob.digest, unknown]) {
    expect(copies.place(directory, digest)).toBe(false);
  }
  expect(
    copiesFor(`type=oci,dest=${directory}/archive.tar`).begin({ compression: 'gzip', level: undefined }),
  ).toBe(undefined);
});

test('nothing stays of copies that got no name', async () => {
  const { directory } = new Place();
  const copies = copiesFor(`type=oci,tar=false,dest=${directory}`);
  const { blob } = await pack(copies, { size: 3 << 20, compression: 'gzip' });
  copies.close();
  expect(copies.place(directory, blob.digest)).toBe(false);
  expect(files(directory)).toEqual([]);
});
