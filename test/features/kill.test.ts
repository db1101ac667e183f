import { afterAll, beforeAll, expect, test } from 'vitest';
import { killAtRandom } from '../../bench/kill-instants.ts';
import { busyboxBase } from '../helpers/bases.ts';
import { processesOf } from '../helpers/no-leftovers.ts';
import { startKiln } from '../helpers/run-kiln.ts';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';
import { type RegistryServer, startRegistry } from '../registry/registry-server.ts';
import { run } from '../setup/run.ts';

const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };

let registry: RegistryServer;
let remote: string;

beforeAll(async () => {
  registry = await startRegistry();
  remote = `${registry.host}/kill/base:1`;
  run('skopeo', [
    'copy',
    '-q',
    '--insecure-policy',
    '--dest-tls-verify=false',
    busyboxBase(),
    `docker://${remote}`,
  ]);
});

afterAll(() => registry.stop());

// More of it: npm run soak -- --kill 200.
test.each([
  [ROOTLESS, 9],
  [AS_ROOT, 6],
])(
  'kill -9 at any instant loses nothing but the step in flight: $user',
  { timeout: 240_000 },
  async (variant, instants) => {
    const work = new Workspace(variant);
    const options = { user: variant.user, cwd: work.context, home: work.home };
    const seed = Date.now() % 1e6;
    const figures = await killAtRandom(
      {
        start: (args) => startKiln(args, options),
        home: work.home,
        context: work.context,
        base: busyboxBase(),
        remote,
        running: () => processesOf(work.home),
      },
      { instants, seed },
    );
    expect(figures.wrong, `seed ${seed}`).toEqual([]);
    expect(figures.killed, `seed ${seed}`).toBeGreaterThan(0);
  },
);
