/** --cache-to and --cache-from: a store that knows nothing stands for another machine. */
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stepsOf } from '../helpers/plain-steps.ts';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';
import { type RegistryServer, startRegistry } from '../registry/registry-server.ts';
import { run } from '../setup/run.ts';

let registry: RegistryServer;

beforeAll(async () => {
  registry = await startRegistry();
});

afterAll(async () => {
  await registry.stop();
});

const USERS: readonly Variant[] = [ROOTLESS, { user: 'root', snapshotter: 'overlay' }];

/** Every RUN tells by its output whether it ran: a random number can only come from a cache a second time. */
const STAGES = `ARG BASE
FROM $BASE AS tools
RUN head -c 300000 /dev/urandom | base64 > /tool && echo built-tool
FROM $BASE
COPY --from=tools /tool /copied
COPY f /f
RUN cat /proc/sys/kernel/random/uuid > /id && echo built-id
WORKDIR /made
`;

let count = 0;
function freshName(): string {
  count += 1;
  return `${registry.host}/c${count}`;
}

/** A machine with the same context and an empty store. */
function machine(
  variant: Variant = ROOTLESS,
  files: Readonly<Record<string, string>> = { f: 'f' },
): Workspace {
  const work = new Workspace(variant);
  work.writeAll(files);
  return work;
}

/** Requests the registry has answered while `work` went on, as "METHOD path". */
async function requestsOf(work: () => Promise<unknown>): Promise<string[]> {
  const before = registry.log.length;
  await work();
  // Its log comes through a pipe.
  await new Promise((resolve) => setTimeout(resolve, 200));
  return registry.log.slice(before).flatMap((line) => {
    const [, method, path] = /"([A-Z]+) (\/v2\/[^ "]*) HTTP/.exec(line) ?? [];
    return method === undefined ? [] : [`${method} ${path}`];
  });
}

async function build(work: Workspace, args: readonly string[], dockerfile = STAGES) {
  const result = await work.tryBuild(dockerfile, { args });
  if (result.exitCode !== 0) throw new Error(`kiln build: exit ${result.exitCode}\n${result.stderr}`);
  return result;
}

const blobPath = (storage: string, digest: string): string => {
  const hex = digest.replace('sha256:', '');
  return join(storage, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
};

interface CacheManifest {
  readonly config: { readonly mediaType: string; readonly digest: string };
  readonly layers: readonly { readonly mediaType: string; readonly digest: string; readonly size: number }[];
}

function manifestOf(name: string): CacheManifest {
  return JSON.parse(
    run('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${name}`]),
  ) as CacheManifest;
}

function recordsOf(name: string): { key: string; used: number; layer: number }[] {
  const { config } = manifestOf(name);
  const text = readFileSync(blobPath(registry.storage, config.digest), 'utf8');
  return (JSON.parse(text) as { records: { key: string; used: number; layer: number }[] }).records;
}

describe.each(USERS)('a cache in a registry as $user', (variant) => {
  test('an empty machine takes every step, and pushes with existence checks, mounts and one manifest', async () => {
    const cache = `${freshName()}:main`;
    const [first, second] = [`${freshName()}:1`, `${freshName()}:1`];
    const cold = await build(machine(variant), [
      '--push',
      '-t',
      first,
      '--cache-to',
      `type=registry,ref=${cache},mode=max`,
    ]);
    expect(stepsOf(cold.stderr, 'DONE')).toHaveLength(5);

    const other = machine(variant);
    const requests = await requestsOf(async () => {
      const result = await build(other, [
        '--push',
        '-t',
        second,
        '--cache-from',
        cache,
        '--cache-to',
        `type=registry,ref=${cache},mode=max`,
      ]);
      expect(stepsOf(result.stderr, 'CACHED')).toHaveLength(5);
      expect(result.stdout).toBe(cold.stdout);
    });
    const writes = requests.filter((line) => !/^(?:HEAD|GET) /.test(line));
    const repository = second.slice(registry.host.length + 1, -2);
    // A mount is one POST. The config is the one blob that is sent: a POST and a PUT. Then the manifest.
    const blobs = other.open(`docker://${second}`, ['--src-tls-verify=false']).manifest.layers;
    const mounts = writes.filter((line) => line.includes('?mount='));
    expect(new Set(mounts).size).toBe(mounts.length);
    expect(writes.filter((line) => /^PUT .*\/blobs\//.test(line)).length).toBeLessThanOrEqual(2);
    expect(writes.filter((line) => line.includes('/manifests/'))).toEqual([
      `PUT /v2/${repository}/manifests/1`,
    ]);
    expect(
      requests.filter((line) => line.startsWith('GET') && blobs.some(({ digest }) => line.endsWith(digest))),
    ).toEqual([]);
    expect(other.open(`docker://${second}`, ['--src-tls-verify=false']).checkDiffIds()).toHaveLength(
      blobs.length,
    );
  });

  test('what has changed runs on layers of the cache, and COPY --from reads them', async () => {
    const cache = `${freshName()}:main`;
    const base = machine(variant);
    const { image } = await base.build(STAGES, {
      args: ['--cache-to', `type=registry,ref=${cache},mode=max`],
    });
    const other = machine(variant, { f: 'changed' });
    const changed = await other.build(STAGES, { args: ['--cache-from', cache] });
    expect(stepsOf(changed.result.stderr, 'CACHED')).toEqual(
      expect.arrayContaining([expect.stringContaining('RUN head'), expect.stringContaining('COPY --from')]),
    );
    expect(changed.result.stderr).toMatch(/^#\d+ [\d.]+ built-id/m);
    expect(changed.image.text('f')).toBe('changed');
    expect(changed.image.text('copied') === image.text('copied')).toBe(true);

    const reader = machine(variant);
    const copied = await reader.build(
      STAGES.replace('COPY --from=tools /tool /copied', 'COPY --from=tools /tool /elsewhere'),
      { args: ['--cache-from', cache] },
    );
    expect(copied.result.stderr).not.toMatch(/^#\d+ [\d.]+ built-tool/m);
    expect(copied.image.text('elsewhere') === image.text('copied')).toBe(true);
  });
});

test('mode=min has the steps of the image, mode=max those of every stage', async () => {
  const [min, max] = [`${freshName()}:min`, `${freshName()}:max`];
  const work = machine();
  await build(work, [
    '--cache-to',
    `type=registry,ref=${min}`,
    '--cache-to',
    `type=registry,ref=${max},mode=max`,
  ]);
  const layers = (name: string) =>
    manifestOf(name).layers.filter(({ mediaType }) => mediaType.includes('tar'));
  expect(layers(min)).toHaveLength(4);
  expect(layers(max)).toHaveLength(5);
  const base = work.open('oci:/var/cache/kiln-test/busybox').manifest.layers.map(({ digest }) => digest);
  for (const { digest } of layers(max)) expect(base).not.toContain(digest);
});

test('a cache of the image alone serves a machine that has none of the stages it copies from', async () => {
  const nested = `ARG BASE
FROM $BASE AS lib
RUN cat /proc/sys/kernel/random/uuid > /lib && echo built-lib
FROM $BASE AS tools
COPY --link f /f
COPY --from=lib /lib /lib
RUN cat /lib /f > /tool && echo built-tool
FROM $BASE
COPY --from=tools /tool /tool
RUN cat /tool > /id && echo built-id
`;
  const [cache, image] = [`${freshName()}:min`, `${freshName()}:1`];
  const ran = (stderr: string) => [...stderr.matchAll(/^#\d+ [\d.]+ (built-\w+)/gm)].map(([, what]) => what);
  const cold = await build(
    machine(),
    ['--push', '-t', image, '--cache-to', cache, '--cache-to', 'type=inline'],
    nested,
  );
  expect(ran(cold.stderr).sort()).toEqual(['built-id', 'built-lib', 'built-tool']);
  for (const from of [cache, image]) {
    const args = ['--cache-from', from, '--cache-to', 'type=inline', '--explain'];
    const cached = await build(machine(), args, nested);
    expect(ran(cached.stderr)).toEqual([]);
    expect(cached.stdout).toBe(cold.stdout);
    expect(cached.stderr).toContain('not needed: what reads from its stage was in the cache');
  }
  // A file that the tools read: what made them runs, and nothing else is taken for granted.
  const changed = await build(machine(ROOTLESS, { f: 'new' }), ['--cache-from', cache], nested);
  expect(ran(changed.stderr).sort()).toEqual(['built-id', 'built-lib', 'built-tool']);
  const filtered = await build(machine(), ['--cache-from', cache, '--no-cache-filter', 'tools'], nested);
  expect(ran(filtered.stderr)).toContain('built-tool');
});

test('the same digest from either compression, cold or cached', async () => {
  const [gzip, zstd] = [`${freshName()}:gz`, `${freshName()}:zst`];
  const work = machine();
  await build(work, [
    '--cache-to',
    `type=registry,ref=${gzip},mode=max`,
    '--cache-to',
    `type=registry,ref=${zstd},mode=max,compression=zstd,compression-level=5`,
  ]);
  expect(manifestOf(zstd).layers.filter(({ mediaType }) => mediaType.endsWith('tar+zstd'))).toHaveLength(5);
  const digests = new Set<string>();
  for (const from of [undefined, gzip, zstd]) {
    const other = from === undefined ? work : machine();
    const { image, result } = await other.build(STAGES, {
      args: from === undefined ? [] : ['--cache-from', from],
    });
    expect(stepsOf(result.stderr, 'CACHED')).toHaveLength(5);
    digests.add(image.digest);
  }
  expect(digests.size).toBe(1);
});

test('several places, one of them unreachable, one empty, one an image: a line each, and the build goes on', async () => {
  const [cache, image] = [`${freshName()}:main`, `${freshName()}:image`];
  await build(machine(), ['--push', '-t', image, '--cache-to', cache]);
  const other = machine();
  const nowhere = '127.0.0.1:1/nothing:here';
  const result = await build(other, [
    '--cache-from',
    nowhere,
    '--cache-from',
    `${registry.host}/never:seen`,
    '--cache-from',
    image,
    '--cache-from',
    `type=local,src=${other.fresh('nowhere')}`,
    '--cache-from',
    cache,
    '--cache-to',
    nowhere,
  ]);
  const warnings = result.stderr.split('\n').filter((line) => line.startsWith('WARNING: cache'));
  expect(warnings).toHaveLength(5);
  expect(warnings.join('\n')).toMatch(
    /cache 127\.0\.0\.1:1\/nothing:here is not used: cannot reach the registry/,
  );
  expect(warnings.join('\n')).toMatch(/never:seen is not used: there is none yet/);
  expect(warnings.join('\n')).toContain(`cache ${image} is not used: it is an image without an inline cache`);
  expect(warnings.join('\n')).toMatch(/nothing:here was not exported: cannot reach the registry/);
  expect(stepsOf(result.stderr, 'CACHED')).toEqual(
    expect.arrayContaining([expect.stringContaining('RUN cat')]),
  );
  expect(result.durationMs).toBeLessThan(30_000);
});

test('ignore-error=false makes a failed export fail the build, after its image is written', async () => {
  const work = machine();
  const result = await work.tryBuild(STAGES, {
    args: ['-t', 'kept:1', '--cache-to', 'type=registry,ref=127.0.0.1:1/x,ignore-error=false'],
  });
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain('[CACHE_EXPORT]');
  const images = await work.kiln(['images']);
  expect(images.stdout).toContain('kept');
});

test('an image is not overwritten by a cache', async () => {
  const image = `${freshName()}:1`;
  await build(machine(), ['--push', '-t', image]);
  const before = manifestOf(image);
  const result = await build(machine(), ['--cache-to', image]);
  expect(result.stderr).toContain('holds something else than a cache of kiln');
  expect(manifestOf(image)).toEqual(before);
});

test('a build that fails exports what succeeded', async () => {
  const cache = `${freshName()}:main`;
  const failing = `${STAGES}RUN echo about-to-fail && exit 3\n`;
  const failed = await machine().tryBuild(failing, {
    args: ['--cache-to', `type=registry,ref=${cache},mode=max`],
  });
  expect(failed.exitCode).toBe(1);
  expect(failed.stderr).toContain('[RUN_FAILED]');
  const mended = await build(machine(), ['--cache-from', cache], `${STAGES}RUN echo mended\n`);
  expect(stepsOf(mended.stderr, 'CACHED')).toHaveLength(5);
  expect(mended.stderr).toContain('mended');
});

describe('an inline cache', () => {
  test('travels with the image, through skopeo and kiln, and changes nothing for others', async () => {
    const [image, copied, again] = [`${freshName()}:1`, `${freshName()}:1`, `${freshName()}:1`];
    const work = machine();
    const cold = await build(work, ['--push', '-t', image, '--cache-to', 'type=inline']);
    const opened = work.open(`docker://${image}`, ['--src-tls-verify=false']);
    expect(opened.checkDiffIds()).toEqual(opened.config.rootfs.diff_ids);
    expect(Object.keys(opened.config)).toContain('kiln.cache.v1');
    run('skopeo', [
      'copy',
      '-q',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      `docker://${image}`,
      `docker://${copied}`,
    ]);
    const other = machine();
    const pushed = await build(other, [
      '--push',
      '-t',
      again,
      '--cache-from',
      copied,
      '--cache-to',
      'type=inline',
    ]);
    // The stage of the tools is not part of the image, so it is not part of its cache.
    expect(stepsOf(pushed.stderr, 'CACHED')).toEqual(
      expect.arrayContaining([expect.stringContaining('RUN cat')]),
    );
    expect(pushed.stdout).toBe(cold.stdout);
    expect(other.open(`docker://${again}`, ['--src-tls-verify=false']).digest).toBe(opened.digest);
  });

  test('an image of the store that is pushed keeps it; one layer for all steps has none', async () => {
    const image = `${freshName()}:1`;
    const work = machine();
    await build(work, ['-t', 'app:1', '--cache-to', 'type=inline']);
    const pushed = await work.kiln(['push', 'app:1', image]);
    expect(pushed.exitCode, pushed.stderr).toBe(0);
    const other = machine();
    const requests = await requestsOf(async () => {
      const cached = await build(other, ['--push', '-t', `${freshName()}:1`, '--cache-from', image]);
      expect(stepsOf(cached.stderr, 'CACHED')).toEqual(
        expect.arrayContaining([expect.stringContaining('RUN cat')]),
      );
    });
    const layers = work.open(`docker://${image}`, ['--src-tls-verify=false']).manifest.layers.slice(-1);
    for (const { digest } of layers)
      expect(requests.filter((line) => line.startsWith('GET') && line.endsWith(digest))).toEqual([]);
    const squashed = await build(machine(), ['--squash', '--cache-to', 'type=inline']);
    expect(squashed.stderr).toContain('the inline cache is empty');
  });
});

describe('a cache in a directory', () => {
  test('is an OCI layout that may be carried away; two tags live side by side', async () => {
    const work = machine();
    const directory = work.fresh('cache');
    await build(work, ['--cache-to', `type=local,dest=${directory},mode=max`]);
    await build(
      work,
      ['--cache-to', `type=local,dest=${directory},tag=other`],
      'ARG BASE\nFROM $BASE\nRUN echo x > /x\n',
    );
    const other = machine();
    const carried = other.fresh('carried');
    cpSync(directory, carried, { recursive: true });
    const result = await build(other, ['--cache-from', `type=local,src=${carried}`]);
    expect(stepsOf(result.stderr, 'CACHED')).toHaveLength(5);
    const index = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')) as { manifests: unknown[] };
    expect(index.manifests).toHaveLength(2);
  });

  test('holds no more than max-size, and no blob that nothing names', async () => {
    const work = machine();
    const directory = work.fresh('cache');
    const blobs = join(directory, 'blobs/sha256');
    const sizeOf = () => readdirSync(blobs).reduce((sum, name) => sum + statSync(join(blobs, name)).size, 0);
    for (const round of [1, 2, 3, 4]) {
      const dockerfile = `ARG BASE\nFROM $BASE\nRUN echo ${round} && head -c 1000000 /dev/urandom > /big\n`;
      await build(work, ['--cache-to', `type=local,dest=${directory},max-size=2500k`], dockerfile);
    }
    expect(sizeOf()).toBeLessThan(2_600_000);
    expect(sizeOf()).toBeGreaterThan(2_000_000);
    const none = `ARG BASE\nFROM $BASE\nRUN echo last > /x\n`;
    await build(work, ['--cache-to', `type=local,dest=${directory},max-age=0`], none);
    expect(sizeOf()).toBeLessThan(100_000);
  });

  test('two writers at once: the last one stands whole', async () => {
    const place = machine().fresh('cache');
    const workers = [machine(), machine(), machine()];
    const dockerfile = (name: string) =>
      `ARG BASE\nFROM $BASE\nRUN echo ${name} > /x\nRUN echo ${name} > /y\n`;
    await Promise.all(
      workers.map((work, index) =>
        build(work, ['--cache-to', `type=local,dest=${place}`], dockerfile(`w${index}`)),
      ),
    );
    const index = JSON.parse(readFileSync(join(place, 'index.json'), 'utf8')) as {
      manifests: { digest: string }[];
    };
    expect(index.manifests).toHaveLength(1);
    const blob = (digest: string) => join(place, 'blobs/sha256', digest.slice(7));
    const manifest = JSON.parse(
      readFileSync(blob(index.manifests[0]?.digest ?? ''), 'utf8'),
    ) as CacheManifest;
    for (const { digest } of [manifest.config, ...manifest.layers])
      expect(existsSync(blob(digest))).toBe(true);
  });
});

test('records at one place are merged, and pruned by age', async () => {
  const cache = `${freshName()}:main`;
  const dockerfile = (name: string) => `ARG BASE\nFROM $BASE\nRUN echo ${name} > /x\n`;
  await build(machine(), ['--cache-to', cache], dockerfile('one'));
  await build(machine(), ['--cache-to', cache], dockerfile('two'));
  expect(recordsOf(cache)).toHaveLength(2);
  await new Promise((resolve) => setTimeout(resolve, 2100));
  await build(machine(), ['--cache-to', `type=registry,ref=${cache},max-age=2s`], dockerfile('three'));
  expect(recordsOf(cache)).toHaveLength(1);
});

describe('a damaged cache', () => {
  test.each([
    ['is another blob', (path: string) => writeFileSync(path, 'not this one')],
    ['is cut short', (path: string) => truncateSync(path, 50)],
  ])('where a layer %s, its step is run', async (_, spoil) => {
    const cache = `${freshName()}:main`;
    await build(machine(), ['--cache-to', `type=registry,ref=${cache},mode=max`]);
    for (const { digest, mediaType } of manifestOf(cache).layers) {
      if (mediaType.includes('tar')) spoil(blobPath(registry.storage, digest));
    }
    const other = machine();
    const { image, result } = await other.build(STAGES, { args: ['--cache-from', cache] });
    expect(result.stderr).toContain('of a cache cannot be used');
    expect(result.stderr).toMatch(/^#\d+ [\d.]+ built-id/m);
    expect(image.text('f')).toBe('f');
    expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
    const again = await other.build(STAGES, { args: ['--cache-from', cache] });
    expect(stepsOf(again.result.stderr, 'CACHED')).toHaveLength(5);
  });

  test('where records or the manifest are not what their digests say, nothing is taken, and the next export mends it', async () => {
    const cache = `${freshName()}:main`;
    const to = ['--cache-to', `type=registry,ref=${cache},mode=max`];
    await build(machine(), to);
    writeFileSync(blobPath(registry.storage, manifestOf(cache).config.digest), '{"version":1,"records":[]}');
    const result = await build(machine(), ['--cache-from', cache, ...to]);
    expect(result.stderr).toMatch(/cache .* is not used: .*sent wrong bytes/);
    expect(result.stderr).toMatch(/^#\d+ [\d.]+ built-id/m);
    const mended = await build(machine(), ['--cache-from', cache]);
    expect(stepsOf(mended.stderr, 'CACHED')).toHaveLength(5);
  });

  test('in a directory: each hostile item is left out, what is whole is used', async () => {
    const work = machine();
    const directory = work.fresh('cache');
    await build(work, ['--cache-to', `type=local,dest=${directory},mode=max`]);
    rewrite(directory, (document) => {
      const [first, second] = document.records.slice(-2);
      if (first === undefined || second === undefined) throw new Error('too few records');
      first['parts'] = [['format', 'x']];
      second['layer'] = '../../etc/passwd';
      document.layers.push({ diffId: 'sha256:../../../etc/passwd', tarSize: 1, blob: 'sha256:..' });
    });
    const other = machine();
    const result = await build(other, ['--cache-from', `type=local,src=${directory}`]);
    expect(result.stderr).toContain('3 damaged items were left out');
    expect(stepsOf(result.stderr, 'CACHED').length).toBeGreaterThan(0);
    writeFileSync(join(directory, 'index.json'), '{"schemaVersion":2,"manif');
    const broken = await build(machine(), ['--cache-from', `type=local,src=${directory}`]);
    expect(broken.stderr).toMatch(/is not used: .*not JSON/);
  });

  test('a record that names a layer of another content is found out when the bytes come', async () => {
    const work = machine();
    const directory = work.fresh('cache');
    await build(work, ['--cache-to', `type=local,dest=${directory},mode=max`]);
    rewrite(directory, (document) => {
      // Right digests, wrong layers: each record gives the next one's blob.
      const blobs = document.layers.map(({ blob }) => blob);
      for (const [index, layer] of document.layers.entries())
        layer['blob'] = blobs[(index + 1) % blobs.length];
    });
    const { image, result } = await machine().build(STAGES, {
      args: ['--cache-from', `type=local,src=${directory}`],
    });
    expect(result.stderr).toContain('of a cache cannot be used');
    expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
    expect(image.text('f')).toBe('f');
  });
});

interface Document {
  layers: Record<string, unknown>[];
  records: Record<string, unknown>[];
}

/** Changes the records of a cache in a directory, with every digest on the way right again. */
function rewrite(directory: string, change: (document: Document) => void): void {
  const blob = (digest: string) => join(directory, 'blobs/sha256', digest.slice(7));
  const put = (content: string) => {
    const digest = `sha256:${run('sh', ['-c', 'printf %s "$1" | sha256sum | cut -d " " -f 1', 'sh', content]).trim()}`;
    writeFileSync(blob(digest), content);
    return { digest, size: Buffer.byteLength(content) };
  };
  const index = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')) as {
    manifests: { digest: string }[];
  };
  const [entry] = index.manifests;
  if (entry === undefined) throw new Error('no cache');
  const manifest = JSON.parse(readFileSync(blob(entry.digest), 'utf8')) as { config: { digest: string } };
  const document = JSON.parse(readFileSync(blob(manifest.config.digest), 'utf8')) as Document;
  change(document);
  Object.assign(manifest.config, put(JSON.stringify(document)));
  Object.assign(entry, put(JSON.stringify(manifest)));
  writeFileSync(join(directory, 'index.json'), JSON.stringify(index));
}

test('a registry that asks for a password, and a registry whose password is wrong', async () => {
  const locked = await startRegistry({ htpasswd: { username: 'me', password: 'pass:word' } });
  try {
    const cache = `${locked.host}/private/cache:1`;
    const login = (work: Workspace, password: string) => {
      const auth = Buffer.from(`me:${password}`).toString('base64');
      const path = work.write(
        '../docker/config.json',
        JSON.stringify({ auths: { [locked.host]: { auth } } }),
      );
      return { DOCKER_CONFIG: path.replace(/\/config\.json$/, '') };
    };
    const work = machine();
    const args = ['--cache-to', cache, '--cache-from', cache];
    const made = await work.tryBuild(STAGES, { args, env: login(work, 'pass:word') });
    expect(made.exitCode, made.stderr).toBe(0);
    expect(made.stderr).not.toContain('was not exported');
    const other = machine();
    const cached = await other.tryBuild(STAGES, { args, env: login(other, 'pass:word') });
    expect(stepsOf(cached.stderr, 'CACHED')).toEqual(
      expect.arrayContaining([expect.stringContaining('RUN cat')]),
    );
    const third = machine();
    const refused = await third.tryBuild(STAGES, { args, env: login(third, 'wrong-one') });
    expect(refused.exitCode).toBe(0);
    expect(refused.stderr).toMatch(/private\/cache:1 is not used: .*(?:login|password)/);
    expect(refused.stderr).not.toContain('wrong-one');
  } finally {
    await locked.stop();
  }
});
