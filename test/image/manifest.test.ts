import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BuildError } from '../../src/errors.ts';
import { type Descriptor, digestOf, MEDIA_TYPE } from '../../src/image/descriptor.ts';
import {
  blobsOf,
  checkLayersReadable,
  convertMediaType,
  encodeDocument,
  formatOf,
  makeIndex,
  makeManifest,
  parseIndex,
  parseManifest,
  parseManifestDocument,
} from '../../src/image/manifest.ts';

const blob = (mediaType: string, content = mediaType): Descriptor => ({
  mediaType,
  digest: digestOf(content),
  size: content.length,
});
const config = blob(MEDIA_TYPE.ociConfig);
const layer = { ...blob(MEDIA_TYPE.ociLayerGzip), annotations: { a: 'b' } };
const manifest = makeManifest({ config, layers: [layer], annotations: { key: 'value' } });
const { content, descriptor } = encodeDocument(manifest);

const refused = (json: unknown, mediaType?: string) => {
  try {
    parseManifestDocument(
      typeof json === 'string' ? Buffer.from(json) : Buffer.from(JSON.stringify(json)),
      mediaType,
    );
  } catch (error) {
    if (error instanceof BuildError) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'accepted';
};

describe('a manifest', () => {
  test('made and encoded is read back the same, and its descriptor is of these bytes', () => {
    expect(parseManifest(content, MEDIA_TYPE.ociManifest)).toEqual(manifest);
    expect(descriptor).toEqual({
      mediaType: MEDIA_TYPE.ociManifest,
      digest: digestOf(content),
      size: content.length,
    });
    expect(encodeDocument(manifest).content.equals(content)).toBe(true);
    expect(blobsOf(manifest)).toEqual([config, layer]);
  });

  test('for docker has docker media types throughout and no annotations', () => {
    const docker = makeManifest({ config, layers: [layer], annotations: { key: 'value' } }, 'docker');
    expect(docker).toEqual({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.dockerManifest,
      config: { ...config, mediaType: MEDIA_TYPE.dockerConfig },
      layers: [{ mediaType: MEDIA_TYPE.dockerLayerGzip, digest: layer.digest, size: layer.size }],
    });
    expect(makeManifest({ config: docker.config, layers: docker.layers }).layers[0]?.mediaType).toBe(
      MEDIA_TYPE.ociLayerGzip,
    );
  });

  test('of another tool is read: unknown fields, no mediaType, layers null', () => {
    const json = { schemaVersion: 2, config: { ...config, urls: ['x'] }, layers: null, extra: 1 };
    expect(parseManifest(Buffer.from(JSON.stringify(json)))).toEqual({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      config,
      layers: [],
    });
  });

  test.each([
    ['not JSON', '{"schemaVersion":', /not JSON/],
    ['a list', '[]', /not a JSON object/],
    ['not UTF-8', '\udc80', /not a JSON object|not JSON/],
    ['another schema version', { ...manifest, schemaVersion: 3 }, /schemaVersion is 3/],
    ['schema 1', { schemaVersion: 1, fsLayers: [] }, /IMAGE_UNSUPPORTED_MANIFEST .*schema 1/],
    [
      'an unknown kind',
      { ...manifest, mediaType: 'application/x' },
      /IMAGE_UNSUPPORTED_MANIFEST .*application\/x/,
    ],
    ['manifests and layers', { ...manifest, manifests: [] }, /both manifests and layers/],
    ['no config', { ...manifest, config: undefined }, /config is missing/],
    ['no layers', { ...manifest, layers: undefined }, /layers is missing/],
    [
      'a layer without a media type',
      { ...manifest, layers: [{ ...layer, mediaType: '' }] },
      /layers\[0\] has no media type/,
    ],
    [
      'a path for a digest',
      { ...manifest, layers: [{ ...layer, digest: 'sha256:../../etc/passwd' }] },
      /digest "sha256:\.\./,
    ],
    [
      'another algorithm',
      { ...manifest, config: { ...config, digest: `md5:${'a'.repeat(32)}` } },
      /only sha256/,
    ],
    ['a negative size', { ...manifest, config: { ...config, size: -1 } }, /size -1/],
    ['a size that is no number', { ...manifest, config: { ...config, size: '10' } }, /size "10"/],
    ['a size beyond counting', { ...manifest, config: { ...config, size: 2 ** 60 } }, /size/],
    ['half a byte', { ...manifest, config: { ...config, size: 1.5 } }, /size 1.5/],
    ['annotations that are no text', { ...manifest, annotations: { a: 1 } }, /not a string/],
    ['too many layers', { ...manifest, layers: Array.from({ length: 2049 }, () => layer) }, /2049 entries/],
  ])('with %s is refused', (_title, json, message) => {
    expect(refused(json)).toMatch(message);
  });

  test('sent as something else than it calls itself is refused', () => {
    expect(refused(manifest, MEDIA_TYPE.ociIndex)).toMatch(
      /calls itself .*manifest.* but was sent as .*index/,
    );
    expect(refused(manifest, 'text/plain')).toBe('accepted');
    expect(refused({ ...manifest, mediaType: undefined }, MEDIA_TYPE.ociIndex)).toMatch(
      /manifests is missing/,
    );
  });

  test('larger than 16 MiB is refused before it is parsed', () => {
    expect(refused(`"${' '.repeat(17 * 1024 * 1024)}"`)).toMatch(/more than 16 MiB/);
  });

  test('is refused with a BuildError or read, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(undefined, ...Object.values(MEDIA_TYPE)), (text, mediaType) => {
        expect(refused(text, mediaType)).not.toBe('');
      }),
    );
  });

  test('with an encrypted layer is no image kiln can unpack', () => {
    checkLayersReadable(manifest);
    const encrypted = makeManifest({
      config,
      layers: [blob('application/vnd.oci.image.layer.v1.tar+gzip+encrypted')],
    });
    expect(() => checkLayersReadable(encrypted)).toThrow(
      expect.objectContaining({ code: 'IMAGE_UNSUPPORTED_MANIFEST' }),
    );
  });
});

describe('an index', () => {
  const entry = {
    ...descriptor,
    platform: { os: 'linux', architecture: 'arm', variant: 'v7', 'os.features': ['x'] },
  };

  test('made and encoded is read back the same', () => {
    const index = makeIndex({ manifests: [entry], annotations: { a: 'b' } });
    expect(parseIndex(encodeDocument(index).content)).toEqual(index);
    expect(makeIndex({ manifests: [entry], annotations: { a: 'b' } }, 'docker')).toEqual({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.dockerIndex,
      manifests: [entry],
    });
  });

  test('without a mediaType is told by its manifests', () => {
    const json = { schemaVersion: 2, manifests: [entry] };
    expect(parseManifestDocument(Buffer.from(JSON.stringify(json))).kind).toBe('index');
  });

  test('is not taken for a manifest, nor a manifest for an index', () => {
    expect(() => parseManifest(encodeDocument(makeIndex({ manifests: [] })).content)).toThrow(/is an index/);
    expect(() => parseIndex(content)).toThrow(/manifest of one image/);
  });

  test('with a platform that names nothing is refused', () => {
    expect(refused({ schemaVersion: 2, manifests: [{ ...descriptor, platform: { os: 'linux' } }] })).toMatch(
      /platform names no/,
    );
  });
});

test('media types convert both ways and back', () => {
  for (const type of Object.values(MEDIA_TYPE)) {
    const other = convertMediaType(type, formatOf(type) === 'oci' ? 'docker' : 'oci');
    expect(other).not.toBe(type);
    expect(convertMediaType(other, formatOf(type))).toBe(type);
    expect(convertMediaType(type, formatOf(type))).toBe(type);
  }
  expect(convertMediaType('application/x', 'docker')).toBe('application/x');
});
