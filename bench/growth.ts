/**
 * npm run bench -- growth [AXIS…]: how kiln's cost grows with one thing at a time. Prints a table an axis, with the
 * exponent of a fitted power law (0: no growth, 1: in proportion) and the peak memory of all processes together.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Header } from 'tar';
import { clear, type Racer } from './builders.ts';
import { type Measured, measure } from './measure.ts';
import { randomBytes } from './workloads.ts';

export interface GrowthPlace {
  readonly racer: Racer;
  /** The installed kiln. */
  readonly program: string;
  /** `oci:DIR` of a small base image. */
  readonly base: string;
  /** An empty directory of the racer's. */
  readonly directory: string;
  readonly runs: number;
}

interface Axis {
  readonly name: string;
  readonly what: string;
  readonly points: readonly number[];
  /** Makes the point ready and says what is measured there: task -> commands that run at once. */
  readonly prepare: (n: number, place: GrowthPlace) => Promise<ReadonlyMap<string, readonly string[][]>>;
}

function build(place: GrowthPlace, context: string, more: readonly string[] = []): string[] {
  return [place.program, 'build', '-q', '--build-arg', `BASE=${place.base}`, ...more, context];
}

function context(place: GrowthPlace, lines: readonly string[]): string {
  const directory = join(place.directory, 'context');
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'Dockerfile'), `${['ARG BASE', ...lines].join('\n')}\n`);
  return directory;
}

/** A build that is made before anything is measured. */
async function once(place: GrowthPlace, command: string[]): Promise<void> {
  await measure(place.racer, [command]);
}

function coldAndCached(place: GrowthPlace, directory: string): ReadonlyMap<string, readonly string[][]> {
  return new Map([
    ['cold', [build(place, directory, ['--no-cache'])]],
    ['cached', [build(place, directory)]],
  ]);
}

/** A tar of `count` small files, a thousand a directory. */
function writeTree(path: string, count: number): void {
  let blocks: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const block = Buffer.alloc(1024);
    const file = `tree/d${Math.floor(index / 1000)}/f${index}`;
    new Header({ path: file, size: 8, mode: 0o644, type: 'File', uid: 0, gid: 0, mtime: new Date(0) }).encode(
      block,
      0,
    );
    block.write('content\n', 512);
    blocks.push(block);
    if (blocks.length < 4096) continue;
    appendFileSync(path, Buffer.concat(blocks));
    blocks = [];
  }
  appendFileSync(path, Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

const AXES: readonly Axis[] = [
  {
    name: 'steps',
    what: 'RUN steps',
    points: [10, 30, 60, 120],
    prepare: async (n, place) => {
      const runs = Array.from({ length: n }, (_, index) => `RUN echo ${index} > /f${index}`);
      return coldAndCached(place, context(place, ['FROM $BASE', ...runs]));
    },
  },
  {
    name: 'context',
    what: 'files of 1 KB in the context',
    points: [1_000, 10_000, 100_000],
    prepare: async (n, place) => {
      const directory = context(place, ['FROM $BASE', 'COPY src /src']);
      for (let index = 0; index < n; index++) {
        const folder = join(directory, 'src', `d${index % 100}`);
        if (index < 100) mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, `f${index}`), randomBytes(index + 1, 1024));
      }
      return coldAndCached(place, directory);
    },
  },
  {
    name: 'layer',
    what: 'MB in one file',
    points: [10, 70, 700, 7_000],
    prepare: async (n, place) => {
      const directory = context(place, ['FROM $BASE', 'COPY big /big']);
      const megabytes = randomBytes(n, 10_000_000);
      for (let index = 0; index < n / 10; index++) {
        megabytes.writeUInt32LE(index, 0);
        appendFileSync(join(directory, 'big'), megabytes);
      }
      const layout = join(place.directory, 'layout');
      const oci = ['--no-cache', '--output', `type=oci,tar=false,dest=${layout}`];
      return new Map([...coldAndCached(place, directory), ['oci', [build(place, directory, oci)]]]);
    },
  },
  {
    name: 'base',
    what: 'files in the base image; RUN changes one',
    points: [1_000, 10_000, 100_000, 500_000],
    prepare: async (n, place) => {
      const base = context(place, ['FROM $BASE', 'ADD tree.tar /']);
      writeTree(join(base, 'tree.tar'), n);
      await once(place, build(place, base, ['-t', `growth-base:${n}`]));
      const directory = context(place, [`FROM growth-base:${n}`, 'RUN echo changed > /tree/d0/f0']);
      // The first run unpacks the base.
      await once(place, build(place, directory));
      return coldAndCached(place, directory);
    },
  },
  {
    name: 'stages',
    what: 'stages side by side',
    points: [1, 4, 16, 32],
    prepare: async (n, place) => {
      const numbers = Array.from({ length: n }, (_, index) => index);
      const stages = numbers.flatMap((i) => [`FROM $BASE AS s${i}`, `RUN echo ${i} > /out${i}`]);
      const copies = numbers.map((i) => `COPY --from=s${i} /out${i} /`);
      return coldAndCached(place, context(place, [...stages, 'FROM $BASE', ...copies]));
    },
  },
  {
    name: 'builds',
    what: 'builds at once',
    points: [1, 2, 4, 8],
    prepare: async (n, place) => {
      const directory = context(place, ['FROM $BASE', 'ARG who', 'RUN echo $who > /who', 'RUN cat /who']);
      const commands = Array.from({ length: n }, (_, i) =>
        build(place, directory, ['--no-cache', '--build-arg', `who=${i}`, '-t', `growth-${i}`]),
      );
      return new Map([['cold', commands]]);
    },
  },
  {
    name: 'store',
    what: 'images in the store',
    points: [10, 100, 1_000],
    prepare: async (n, place) => {
      const filler = context(place, ['FROM $BASE', 'ARG n', 'LABEL n=$n']);
      for (let index = 0; index < n; index++) {
        await once(place, build(place, filler, ['--build-arg', `n=${index}`, '-t', `growth:${index}`]));
      }
      const directory = context(place, ['FROM $BASE', 'RUN echo > /one', 'COPY Dockerfile /']);
      return new Map([...coldAndCached(place, directory), ['images', [[place.program, 'images']]]]);
    },
  },
];

/** Runs the axes named, or all; prints as it goes. */
export async function growth(names: readonly string[], place: GrowthPlace): Promise<void> {
  const unknown = names.filter((name) => !AXES.some((axis) => axis.name === name));
  if (unknown.length > 0)
    throw new Error(`no axis "${unknown[0]}": ${AXES.map(({ name }) => name).join(', ')}`);
  for (const axis of AXES) {
    if (names.length === 0 || names.includes(axis.name)) await measureAxis(axis, place);
  }
}

async function measureAxis(axis: Axis, place: GrowthPlace): Promise<void> {
  const results = new Map<string, { n: number; measured: Measured }[]>();
  for (const n of axis.points) {
    const tasks = await axis.prepare(n, place);
    execFileSync('chmod', ['-R', 'a+rX', join(place.directory, 'context')]);
    for (const [task, commands] of tasks) {
      if (task === 'cached') await measure(place.racer, commands);
      const runs: Measured[] = [];
      for (let run = 0; run < place.runs; run++) {
        clear(join(place.directory, 'layout'));
        runs.push(await measure(place.racer, commands));
      }
      runs.sort((a, b) => a.seconds - b.seconds);
      const middle = runs[Math.floor(runs.length / 2)];
      if (middle === undefined) continue;
      const peakBytes = Math.max(...runs.map((run) => run.peakBytes));
      results.set(task, [...(results.get(task) ?? []), { n, measured: { ...middle, peakBytes } }]);
    }
  }
  print(axis, results);
}

function print(axis: Axis, results: ReadonlyMap<string, readonly { n: number; measured: Measured }[]>): void {
  console.log(`\n${axis.name}: ${axis.what}\n`);
  console.log(
    `| task | ${axis.points.map((n) => n.toLocaleString('en')).join(' | ')} | exponent | peak MB |`,
  );
  console.log(`|---|${axis.points.map(() => '---|').join('')}---|---|`);
  for (const [task, points] of results) {
    const times = points.map(({ measured }) => `${measured.seconds.toFixed(2)} s`);
    const peaks = points.map(({ measured }) => Math.round(measured.peakBytes / 1e6));
    console.log(`| ${task} | ${times.join(' | ')} | ${exponent(points).toFixed(2)} | ${peaks.join(' / ')} |`);
  }
}

/** Slope of log(seconds) over log(n), by least squares. */
function exponent(points: readonly { n: number; measured: Measured }[]): number {
  const logs = points.map(({ n, measured }) => [Math.log(n), Math.log(measured.seconds)] as const);
  const mean = (at: 0 | 1): number => logs.reduce((sum, pair) => sum + pair[at], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = logs.reduce((sum, [a]) => sum + (a - x) ** 2, 0);
  return logs.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0) / spread;
}
