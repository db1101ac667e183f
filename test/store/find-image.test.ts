import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findImage } from '../../src/actions/stored-image.ts';
import { MEDIA_TYPE } from '../../src/image/descriptor.ts';
import { encodeDocument, makeManifest } from '../../src/image/manifest.ts';
import { Store } from '../../src/store/store.ts';

function addImage(store: Store, name: string): string {
  const config = Buffer.from(JSON.stringify({ rootfs: { type: 'layers', diff_ids: [] }, author: name }));
  const digest = store.blobs.write(config);
  const { descriptor, content } = encodeDocument(
    makeManifest({ config: { mediaType: MEDIA_TYPE.ociConfig, digest, size: config.length }, layers: [] }),
  );
  store.blobs.write(content);
  store.names.set([`docker.io/library/${name}:latest`], descriptor, new Date());
  return digest.slice(7);
}

test('the beginning of an ID must name one image; a name goes first', () => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-find-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const store = Store.open(root);
  // Of seventeen IDs two begin with the same digit.
  const ids = Array.from({ length: 17 }, (_, n) => addImage(store, `app${n}`));
  const first = ids.find((id) => ids.some((other) => other !== id && other[0] === id[0])) ?? '';
  expect(() => findImage(store, first.slice(0, 1))).toThrow(
    expect.objectContaining({
      code: 'STORE_AMBIGUOUS_ID',
      suggestions: [expect.stringContaining(first.slice(0, 8))],
    }),
  );
  for (const [n, id] of ids.entries()) {
    expect(findImage(store, id).names).toEqual([`docker.io/library/app${n}:latest`]);
    expect(findImage(store, `sha256:${id.slice(0, 12)}`).config.author).toBe(`app${n}`);
  }
  const taken = ids[3]?.slice(0, 8) ?? '';
  addImage(store, taken);
  expect(findImage(store, taken).config.author).toBe(taken);
  expect(() => findImage(store, 'none')).toThrow(expect.objectContaining({ code: 'STORE_NO_IMAGE' }));
});
