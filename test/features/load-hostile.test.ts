import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Workspace } from '../helpers/workspace.ts';

type Member = readonly [name: string, content: Buffer | string, options?: { type?: string; link?: string }];

const sha256 = (content: Buffer | string): string => createHash('sha256').update(content).digest('hex');

/** A tar with whatever names and links are asked for, which no tool would write; made by Python's tarfile. */
function tar(members: readonly Member[]): Buffer {
  const script = `
import sys, json, tarfile, io, base64
t = tarfile.open(fileobj=sys.stdout.buffer, mode='w|')
for name, content, options in json.load(sys.stdin):
    info = tarfile.TarInfo(name)
    data = base64.b64decode(content)
    info.size = len(data)
    if 'type' in options: info.type = options['type'].encode(); info.size = 0
    info.linkname = options.get('link', '')
    t.addfile(info, io.BytesIO(data))
t.close()`;
  const input = JSON.stringify(
    members.map(([name, content, options]) => [name, Buffer.from(content).toString('base64'), options ?? {}]),
  );
  return execFileSync('python3', ['-c', script], { input, maxBuffer: 1 << 28 });
}

const LAYER = tar([['etc/motd', 'hello']]);
const CONFIG = JSON.stringify({
  architecture: 'amd64',
  os: 'linux',
  rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(LAYER)}`] },
});

function docker(
  changes: {
    layer?: Buffer;
    config?: string;
    manifest?: unknown;
    more?: readonly Member[];
    without?: string;
  } = {},
): Buffer {
  const config = changes.config ?? CONFIG;
  const name = `${sha256(config)}.json`;
  const manifest = changes.manifest ?? [{ Config: name, RepoTags: ['good:1'], Layers: ['l/layer.tar'] }];
  const members: Member[] = [
    ...(changes.more ?? []),
    [name, config],
    ['l/layer.tar', changes.layer ?? LAYER],
    ['manifest.json', typeof manifest === 'string' ? manifest : JSON.stringify(manifest)],
  ];
  return tar(members.filter(([each]) => each !== changes.without));
}

function oci(changes: { layerName?: string; size?: number; index?: unknown; nested?: boolean } = {}): Buffer {
  const layer = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest: `sha256:${sha256(LAYER)}`,
    size: changes.size ?? LAYER.length,
  };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: `sha256:${sha256(CONFIG)}`,
      size: CONFIG.length,
    },
    layers: [layer],
  });
  const entry = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${sha256(manifest)}`,
    size: manifest.length,
  };
  const index = JSON.stringify(changes.index ?? { schemaVersion: 2, manifests: [entry] });
  return tar([
    ['oci-layout', '{"imageLayoutVersion":"1.0.0"}'],
    [`blobs/sha256/${changes.layerName ?? sha256(LAYER)}`, LAYER],
    [`blobs/sha256/${sha256(CONFIG)}`, CONFIG],
    [`blobs/sha256/${sha256(manifest)}`, manifest],
    ['index.json', index],
  ]);
}

const link = (name: string, target: string): Member => [name, '', { type: '2', link: target }];
const evil = tar([['../../evil', 'x']]);

test.each<[string, () => Buffer, string]>([
  ['a path that leads out', () => docker({ more: [['../../../tmp/kiln-evil', 'x']] }), 'LAYER_UNSAFE_PATH'],
  [
    'a symlink that leads out',
    () => docker({ more: [link('x', '../../../../etc/passwd')] }),
    'leads out of it',
  ],
  [
    'a layer that is a symlink to a file of the host',
    () =>
      docker({
        more: [link('l', '/etc')],
        manifest: [{ Config: `${sha256(CONFIG)}.json`, RepoTags: null, Layers: ['l/passwd'] }],
      }),
    'it lacks l/passwd',
  ],
  [
    'links in a circle',
    () => docker({ more: [link('a', 'b'), link('b', 'a')], manifest: [{ Config: 'a', Layers: [] }] }),
    'circle',
  ],
  ['a device', () => docker({ more: [['null', '', { type: '3' }]] }), 'is a char'],
  [
    'a layer whose names lead out',
    () => docker({ layer: evil, config: CONFIG.replace(sha256(LAYER), sha256(evil)) }),
    'LAYER_UNSAFE_PATH',
  ],
  ['a layer that is another', () => docker({ layer: tar([['other', 'x']]) }), 'LAYER_DIFFID_MISMATCH'],
  ['a missing layer', () => docker({ without: 'l/layer.tar' }), 'it lacks l/layer.tar'],
  [
    'a missing manifest',
    () => docker({ without: 'manifest.json' }),
    'neither a manifest.json nor an index.json',
  ],
  [
    'a config under another digest',
    () =>
      docker({
        manifest: [{ Config: `${'0'.repeat(64)}.json`, Layers: [] }],
        more: [[`${'0'.repeat(64)}.json`, CONFIG]],
      }),
    'have the digest',
  ],
  ['too few DiffIDs', () => docker({ config: '{"rootfs":{"diff_ids":[]}}' }), 'names 0 layers'],
  ['DiffIDs that are none', () => docker({ config: '{"rootfs":{"diff_ids":["x"]}}' }), 'no DiffIDs'],
  ['a config that is not JSON', () => docker({ config: '{' }), 'not JSON'],
  ['a manifest that is not JSON', () => docker({ manifest: '[' }), 'not JSON'],
  ['a manifest of the wrong shape', () => docker({ manifest: [{ Config: 1 }] }), 'no list of images'],
  [
    'a name that is none',
    () =>
      docker({
        manifest: [{ Config: `${sha256(CONFIG)}.json`, RepoTags: ['UPPER/:x'], Layers: ['l/layer.tar'] }],
      }),
    'IMAGE_INVALID_REFERENCE',
  ],
  [
    'a good image before a bad one',
    () =>
      docker({
        manifest: [
          { Config: `${sha256(CONFIG)}.json`, RepoTags: ['good:1'], Layers: ['l/layer.tar'] },
          { Config: 'none.json', Layers: [] },
        ],
      }),
    'it lacks none.json',
  ],
  ['huge JSON', () => docker({ manifest: `["${'x'.repeat(17 << 20)}"]` }), 'a document of it has'],
  ['a blob under another digest', () => oci({ layerName: '1'.repeat(64) }), 'have the digest'],
  ['a layer of another size', () => oci({ size: 7 }), 'has '],
  ['an index without images', () => oci({ index: { schemaVersion: 2, manifests: [] } }), 'names no image'],
  [
    'an index that names what is not there',
    () =>
      oci({
        index: {
          schemaVersion: 2,
          manifests: [
            {
              mediaType: 'application/vnd.oci.image.manifest.v1+json',
              digest: `sha256:${'2'.repeat(64)}`,
              size: 3,
            },
          ],
        },
      }),
    'it lacks blobs/sha256/2222',
  ],
  [
    'an index that is a path',
    () =>
      oci({
        index: {
          schemaVersion: 2,
          manifests: [
            {
              mediaType: 'application/vnd.oci.image.manifest.v1+json',
              digest: 'sha256:../../../etc/passwd',
              size: 3,
            },
          ],
        },
      }),
    'IMAGE_INVALID_MANIFEST',
  ],
  ['no tar at all', () => Buffer.alloc(5000, 'x'), 'it is no tar archive'],
  ['nothing', () => Buffer.alloc(0), 'it is no tar archive'],
  ['half of one', () => docker().subarray(0, 3000), 'LAYER_TRUNCATED'],
])('%s is refused, and nothing is loaded', async (_what, make, why) => {
  const work = new Workspace();
  const result = await work.kiln(['load'], { input: make() });
  expect(result.stderr.replaceAll(/\s+/g, ' ')).toContain(why);
  expect(result).toMatchObject({ exitCode: 1, stdout: '' });
  expect(JSON.parse(readFileSync(join(work.home, 'index.json'), 'utf8')).manifests).toEqual([]);
  for (const folder of ['blobs/sha256', 'layers', 'tmp'])
    expect(readdirSync(join(work.home, folder)), folder).toEqual([]);
});

test('the same archives without the harm are loaded', async () => {
  const work = new Workspace();
  for (const archive of [docker({ more: [link('alias.json', `${sha256(CONFIG)}.json`)] }), oci()]) {
    expect(await work.kiln(['load'], { input: archive })).toMatchObject({ exitCode: 0 });
  }
  expect((await work.kiln(['images', '--format', '{{.Repository}}:{{.Tag}}'])).stdout).toBe('good:1\n');
});
