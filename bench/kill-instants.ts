/**
 * kill -9 at random instants of builds, pulls, loads and prunes on one store. After each: the next command works, `kiln df`
 * agrees with the files, `kiln doctor --store` finds nothing wrong, no process is left. At the end every image is whole.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { lstatSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface KillSubject {
  /** Starts kiln on the store; the process is kiln itself, so that a signal reaches it. */
  readonly start: (args: readonly string[]) => ChildProcess;
  readonly home: string;
  /** A directory that kiln's user can read; files are written into it. */
  readonly context: string;
  /** `oci:DIR:TAG` of a small image with a shell. */
  readonly base: string;
  /** Name of an image in a registry. */
  readonly remote: string;
  /** What still runs of the store's processes; empty when all are gone. */
  readonly running: () => readonly string[];
}

export interface KillFigures {
  /** Instants at which the process was still at work. */
  readonly killed: number;
  /** Kills by command. */
  readonly byCommand: Readonly<Record<string, number>>;
  /** What was wrong afterwards. */
  readonly wrong: readonly string[];
}

const DOCKERFILE = `ARG BASE
FROM $BASE AS tools
ARG N=0
RUN --mount=type=cache,target=/cache echo $N >> /cache/list && head -c 2000000 /dev/urandom > /cache/$N && cp /cache/$N /tool
FROM $BASE
COPY . /src
RUN mkdir /many && i=0; while [ $i -lt 200 ]; do echo $i > /many/$i; i=$((i+1)); done; chown -R 1234 /many
COPY --from=tools /tool /tool
ARG N=0
RUN echo $N > /last && sha256sum /tool > /sum
`;

/** The same numbers for the same seed, so that a failure can be had again. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

function ended(child: ChildProcess): Promise<Ended> {
  const began = performance.now();
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin?.end();
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) =>
      resolve({
        exitCode,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
        milliseconds: performance.now() - began,
      }),
    );
  });
}

/** Runs the test; `log` is told now and then how far it is. */
export async function killAtRandom(
  subject: KillSubject,
  {
    instants,
    seed,
    log,
  }: { readonly instants: number; readonly seed: number; readonly log?: (line: string) => void },
): Promise<KillFigures> {
  return new KillTest(subject, random(seed)).run(instants, log ?? (() => undefined));
}

/** What is killed, and how often of ten. */
const WEIGHTS: readonly (readonly [command: string, weight: number])[] = [
  ['build', 4],
  ['pull', 2],
  ['load', 1],
  ['prune', 1],
  ['prune --all', 1],
  ['prune --keep-storage', 1],
];

class KillTest {
  readonly #subject: KillSubject;
  readonly #random: () => number;
  readonly #wrong: string[] = [];
  readonly #took = new Map<string, number>();
  #count = 0;

  constructor(subject: KillSubject, numbers: () => number) {
    this.#subject = subject;
    this.#random = numbers;
  }

  async run(instants: number, log: (line: string) => void): Promise<KillFigures> {
    const { context } = this.#subject;
    writeFileSync(join(context, 'Dockerfile'), DOCKERFILE);
    writeFileSync(join(context, 'data'), 'x'.repeat(3_000_000));
    await this.#measure();
    const byCommand: Record<string, number> = {};
    let killed = 0;
    for (let instant = 1; instant <= instants; instant++) {
      const command = this.#choose();
      if (await this.#kill(command)) {
        killed += 1;
        byCommand[command] = (byCommand[command] ?? 0) + 1;
      }
      await this.#check(`kill ${instant} (${command})`);
      if (this.#wrong.length > 0) break;
      if (instant % 20 === 0)
        log(`${instant} instants, ${killed} of them in the middle of work, nothing wrong`);
    }
    if (this.#wrong.length === 0) await this.#checkImages();
    return { killed, byCommand, wrong: this.#wrong };
  }

  #choose(): string {
    let at = this.#random() * WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [command, weight] of WEIGHTS) {
      at -= weight;
      if (at < 0) return command;
    }
    return 'build';
  }

  /** How long each command takes when nobody kills it; an image to load is saved on the way. */
  async #measure(): Promise<void> {
    await this.#must(this.#words('build'));
    await this.#must(['tag', 'app', 'kept']);
    await this.#must(['save', '-o', this.#archive, 'kept']);
    for (const [command] of WEIGHTS) {
      await this.#prepare(command);
      this.#took.set(command, (await this.#must(this.#words(command))).milliseconds);
    }
    await this.#must(this.#words('build'));
    await this.#must(['tag', 'app', 'kept']);
  }

  get #archive(): string {
    return join(this.#subject.context, '..', 'kept.tar');
  }

  #words(command: string): string[] {
    const { base, context, remote } = this.#subject;
    this.#count += 1;
    if (command === 'build') {
      const fresh = this.#count % 3 === 0 ? ['--no-cache'] : [];
      const words = ['--build-arg', `BASE=${base}`, '--build-arg', `N=${this.#count % 5}`];
      return ['build', '-q', ...fresh, ...words, '-t', 'app', context];
    }
    if (command === 'pull') return ['pull', '-q', remote];
    if (command === 'load') return ['load', '-i', this.#archive];
    if (command === 'prune --keep-storage') return ['prune', '--keep-storage', '3MB'];
    return command.split(' ');
  }

  /** What makes the command have something to do. */
  async #prepare(command: string): Promise<void> {
    if (command === 'pull') {
      await this.#must(['rmi', '-f', this.#subject.remote]);
      await this.#must(['prune']);
    }
    if (command === 'load') await this.#must(['rmi', '-f', 'kept']);
  }

  /** True when it was killed before its end. */
  async #kill(command: string): Promise<boolean> {
    await this.#prepare(command);
    const child = this.#subject.start(this.#words(command));
    const end = ended(child);
    await Promise.race([end, sleep(this.#random() * (this.#took.get(command) ?? 500))]);
    const inTheMiddle = child.exitCode === null;
    child.kill('SIGKILL');
    const { exitCode, stderr } = await end;
    if (!inTheMiddle && exitCode !== null && exitCode !== 0)
      this.#wrong.push(`${command} failed by itself:\n${stderr}`);
    for (let wait = 0; this.#subject.running().length > 0; wait++) {
      if (wait === 100) {
        this.#wrong.push(`${command}: processes are left: ${this.#subject.running().join(', ')}`);
        break;
      }
      await sleep(50);
    }
    return inTheMiddle;
  }

  async #must(args: readonly string[]): Promise<Ended> {
    const result = await ended(this.#subject.start(args));
    if (result.exitCode !== 0)
      this.#wrong.push(`kiln ${args.join(' ')}: exit ${result.exitCode}\n${result.stderr}`);
    return result;
  }

  async #check(when: string): Promise<void> {
    const { home } = this.#subject;
    const usage = await this.#must(['df', '--format', 'json']);
    if (usage.exitCode === 0) {
      const sizes = new Map<string, number>();
      for (const line of usage.stdout.trim().split('\n')) {
        const { Type: type, SizeBytes: size } = JSON.parse(line) as { Type: string; SizeBytes: number };
        sizes.set(type, size);
      }
      for (const [type, folder] of [
        ['Layers', 'blobs/sha256'],
        ['Snapshots', 'snapshots'],
        ['Cache mounts', 'mounts'],
      ] as const) {
        const real = bytesBelow(join(home, folder));
        if (sizes.get(type) !== real)
          this.#wrong.push(`${when}: df says ${sizes.get(type)} bytes of ${type}, there are ${real}`);
      }
      if ((sizes.get('Images') ?? 0) > (sizes.get('Layers') ?? 0))
        this.#wrong.push(`${when}: df has larger images than layers`);
    }
    const doctor = await ended(this.#subject.start(['doctor', '--store', '--dry-run', '--format', 'json']));
    const { problems } = JSON.parse(doctor.stdout || '{"problems":["no answer"]}') as { problems: unknown[] };
    if (doctor.exitCode !== 0 || problems.length > 0) {
      this.#wrong.push(
        `${when}: doctor --store: exit ${doctor.exitCode}, ${JSON.stringify(problems)}\n${doctor.stderr}`,
      );
    }
  }

  /** Whatever happened: images are whole for others, builds go on, and nothing but them is left after a prune. */
  async #checkImages(): Promise<void> {
    const { home } = this.#subject;
    await this.#prepare('load');
    for (const command of ['build', 'pull', 'load']) await this.#must(this.#words(command));
    const names = (await this.#must(['images', '--format', '{{.Repository}}:{{.Tag}}'])).stdout
      .trim()
      .split('\n');
    if (names.length < 3) this.#wrong.push(`images are missing: there are ${names.join(', ')}`);
    // Drafts of single files have no owner that could be asked, so that they go after an hour.
    const old = new Date(Date.now() - 7_200_000);
    for (const name of readdirSync(join(home, 'tmp'))) {
      if (/^(?:write|blob)-/.test(name)) utimesSync(join(home, 'tmp', name), old, old);
    }
    await this.#must(['prune', '--all']);
    const entries = readdirSync(join(home, 'tmp'));
    if (entries.length > 0) this.#wrong.push(`left in tmp: ${entries.join(', ')}`);
    const { manifests } = JSON.parse(
      execFileSync('cat', [join(home, 'index.json')], { encoding: 'utf8' }),
    ) as {
      manifests: { annotations: Record<string, string> }[];
    };
    for (const { annotations } of manifests) {
      const name = annotations['org.opencontainers.image.ref.name'];
      const copy = join(this.#subject.context, '..', 'copy');
      execFileSync('rm', ['-rf', copy]);
      // skopeo checks every digest on the way.
      execFileSync('skopeo', ['copy', '-q', '--insecure-policy', `oci:${home}:${name}`, `oci:${copy}:a`], {
        stdio: 'inherit',
      });
      execFileSync('umoci', ['unpack', '--image', `${copy}:a`, `${copy}/bundle`], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    }
    await this.#check('at the end');
  }
}

/** Bytes of all files; one with several names counts once. */
function bytesBelow(path: string, seen = new Set<string>()): number {
  const stat = lstatSync(path);
  if (stat.isDirectory())
    return readdirSync(path).reduce((sum, name) => sum + bytesBelow(join(path, name), seen), 0);
  const identity = `${stat.dev}:${stat.ino}`;
  if (seen.has(identity)) return 0;
  seen.add(identity);
  return stat.size;
}
