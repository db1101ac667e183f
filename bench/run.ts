/**
 * npm run bench [-- WORKLOAD…]: builds every workload with kiln and the peers that are installed, in turns, as one
 * unprivileged user, and prints medians and ratios. `-- growth` measures how kiln's own cost grows (growth.ts). Root is
 * needed to run as that user.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import {
  type Bases,
  type Builder,
  buildah,
  buildctl,
  clear,
  kiln,
  type Racer,
  runAs,
  type Task,
} from './builders.ts';
import { growth } from './growth.ts';
import { WORKLOADS } from './workloads.ts';

const RUNS = Number(process.env['BENCH_RUNS'] ?? 5);
const USER = process.env['BENCH_USER'] ?? 'kilntest';
const BASES: Bases = {
  busybox: process.env['BENCH_BUSYBOX'] ?? '/var/cache/kiln-test/busybox',
  debian: process.env['BENCH_DEBIAN'] ?? debianBase(),
};

function debianBase(): string {
  const found = spawnSync('sh', ['-c', 'ls -d /var/cache/kiln-test/debian-* | tail -1'], {
    encoding: 'utf8',
  }).stdout.trim();
  if (found === '')
    throw new Error('No Debian base: run the tests once (npm test), or set BENCH_DEBIAN to an OCI layout.');
  return found;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** A copy of the built command where the racer can read it. */
function install(directory: string): string {
  const target = join(directory, 'kiln');
  mkdirSync(join(target, 'node_modules'), { recursive: true });
  for (const name of ['bin', 'dist', 'package.json', 'oclif.manifest.json'])
    cpSync(name, join(target, name), { recursive: true });
  for (const name of ['koffi', '@koromix', `node-linux-${process.arch}`]) {
    cpSync(join('node_modules', name), join(target, 'node_modules', name), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
  return join(target, 'bin', 'kiln');
}

/** Medians of one workload and task, the builders taking turns so that drift of the machine meets all alike. */
function race(
  builders: readonly Builder[],
  task: Task,
  { racer, context, base, scratch }: { racer: Racer; context: string; base: keyof Bases; scratch: string },
): Map<string, number> {
  const times = new Map<string, number[]>(builders.map(({ name }) => [name, []]));
  for (let run = task === 'cached' ? -1 : 0; run < RUNS; run++) {
    for (const builder of builders) {
      clear(scratch);
      const seconds = runAs(racer, builder.command(task, { context, base, scratch }));
      // The first cached build fills the cache.
      if (run >= 0) times.get(builder.name)?.push(seconds);
    }
  }
  return new Map([...times].map(([name, values]) => [name, median(values)]));
}

function seconds(value: number | undefined): string {
  return value === undefined ? '–' : value < 10 ? value.toFixed(2) : value.toFixed(1);
}

async function main(): Promise<void> {
  const directory = mkdtempSync('/tmp/kiln-bench-');
  execFileSync('chmod', ['755', directory]);
  const home = join(directory, 'home');
  mkdirSync(join(home, 'run'), { recursive: true });
  const racer: Racer = { name: USER, home };
  const program = install(directory);
  const wanted = process.argv.slice(2);
  if (wanted[0] === 'growth') {
    const place = {
      racer,
      program,
      base: `oci:${BASES.busybox}`,
      directory: join(home, 'growth'),
      runs: RUNS,
    };
    mkdirSync(place.directory);
    execFileSync('chown', ['-R', `${USER}:`, home]);
    try {
      await growth(wanted.slice(1), place);
    } finally {
      remove(directory);
    }
    return;
  }
  const workloads = WORKLOADS.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
  execFileSync('chown', ['-R', `${USER}:`, home]);
  const builders = [kiln(program), buildah(racer), buildctl()].filter((builder) => builder !== undefined);
  const [model = ''] = /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.slice(1) ?? [];
  console.log(`${cpus().length} × ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`);
  console.log(builders.map(({ name, version }) => `${name}: ${version}`).join('\n'));
  console.log(`medians of ${RUNS} runs in seconds, all rootless as ${USER}; ratio: peer / kiln\n`);
  console.log(`| workload | task | ${builders.map(({ name }) => name).join(' | ')} | ratio |`);
  console.log(`|---|---|${builders.map(() => '---|').join('')}---|`);
  try {
    for (const builder of builders) builder.prepare(BASES);
    for (const { name, base, make } of workloads) {
      const context = join(directory, name);
      mkdirSync(context);
      make(context);
      execFileSync('chmod', ['-R', 'a+rX', context]);
      for (const task of ['cold', 'cached', 'oci'] as const) {
        const medians = race(builders, task, { racer, context, base, scratch: join(home, 'layout') });
        const own = medians.get('kiln') ?? Number.NaN;
        const ratios = builders
          .slice(1)
          .map((peer) => `${((medians.get(peer.name) ?? Number.NaN) / own).toFixed(1)}×`);
        console.log(
          `| ${name} | ${task} | ${builders.map((b) => seconds(medians.get(b.name))).join(' | ')} | ${ratios.join(', ')} |`,
        );
      }
      rmSync(context, { recursive: true });
    }
  } finally {
    remove(directory);
  }
}

/** Layers belong to many owners, and some of their directories let nobody in. */
function remove(directory: string): void {
  spawnSync('chmod', ['-R', 'u+rwX', directory]);
  rmSync(directory, { recursive: true, force: true });
}

await main();
