/** The builders that race: how each builds a context cold, cached, and into an OCI layout. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';

export type Task = 'cold' | 'cached' | 'oci';

export interface Bases {
  readonly busybox: string;
  readonly debian: string;
}

export interface Builder {
  readonly name: string;
  readonly version: string;
  /** Once before the race: brings the bases into the builder's own store. */
  readonly prepare: (bases: Bases) => void;
  /** The command of one build. */
  readonly command: (task: Task, build: { context: string; base: keyof Bases; scratch: string }) => string[];
}

/** The user that everything runs as. */
export interface Racer {
  readonly name: string;
  readonly home: string;
}

export function racerEnvironment(racer: Racer): NodeJS.ProcessEnv {
  return {
    HOME: racer.home,
    USER: racer.name,
    PATH: process.env['PATH'],
    XDG_RUNTIME_DIR: join(racer.home, 'run'),
  };
}

/** What setpriv is told to run a command as the racer. */
export function racerArguments({ name }: Racer, command: readonly string[]): string[] {
  return ['--reuid', name, '--regid', name, '--init-groups', '--', ...command];
}

/** Runs a command as the racer, in a clean environment. Returns seconds; throws when it fails. */
export function runAs(racer: Racer, command: readonly string[]): number {
  const began = process.hrtime.bigint();
  const { status, stderr, error } = spawnSync('setpriv', racerArguments(racer, command), {
    env: racerEnvironment(racer),
    cwd: racer.home,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  if (status !== 0) throw new Error(`${command.join(' ')}: ${error?.message ?? stderr.slice(-2000)}`);
  return seconds;
}

function firstLine(command: readonly string[]): string | undefined {
  const [program = '', ...args] = command;
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}

/** kiln from an installed copy. */
export function kiln(program: string): Builder {
  let bases: Bases | undefined;
  return {
    name: 'kiln',
    version: firstLine([program, '--version']) ?? 'unknown',
    prepare: (given) => {
      bases = given;
    },
    command: (task, { context, base, scratch }) => [
      program,
      'build',
      '-q',
      '--build-arg',
      `BASE=oci:${bases?.[base]}`,
      ...(task === 'cached' ? [] : ['--no-cache']),
      ...(task === 'oci' ? ['--output', `type=oci,tar=false,dest=${scratch}`] : ['-t', 'bench']),
      context,
    ],
  };
}

/**
 * buildah, rootless, with its chroot isolation: the faster of the two, and the one that works on hosts in hybrid cgroup
 * mode. The layout is written by a second command, as its users do.
 */
export function buildah(racer: Racer): Builder | undefined {
  const version = firstLine(['buildah', '--version']);
  if (version === undefined) return undefined;
  return {
    name: 'buildah',
    version,
    prepare: ({ busybox, debian }) => {
      for (const [name, layout] of [
        ['busybox', busybox],
        ['debian', debian],
      ]) {
        runAs(racer, ['buildah', 'pull', '-q', `oci:${layout}`]);
        runAs(racer, ['sh', '-c', `buildah tag $(buildah pull -q oci:${layout}) localhost/bench-${name}`]);
      }
    },
    command: (task, { context, base, scratch }) => {
      const build = `buildah build -q --isolation chroot --layers ${task === 'cached' ? '' : '--no-cache'} --build-arg BASE=localhost/bench-${base} -t bench ${context}`;
      return ['sh', '-c', task === 'oci' ? `${build} && buildah push -q bench oci:${scratch}:bench` : build];
    },
  };
}

/** Any buildctl on PATH, with a buildkitd started for each build (daemonless). */
export function buildctl(): Builder | undefined {
  const version = firstLine(['buildctl', '--version']);
  if (version === undefined) return undefined;
  let bases: Bases | undefined;
  return {
    name: 'BuildKit daemonless',
    version,
    prepare: (given) => {
      bases = given;
    },
    command: (task, { context, base, scratch }) => [
      'buildctl-daemonless.sh',
      'build',
      '--frontend=dockerfile.v0',
      `--local=context=${context}`,
      `--local=dockerfile=${context}`,
      '--opt=build-arg:BASE=bench-base',
      `--oci-layout=base=${bases?.[base]}`,
      '--opt=context:bench-base=oci-layout://base',
      ...(task === 'cached' ? [] : ['--no-cache']),
      ...(task === 'oci' ? [`--output=type=oci,tar=false,dest=${scratch}`] : []),
    ],
  };
}

/** Removes what an OCI task wrote. */
export function clear(scratch: string): void {
  rmSync(scratch, { recursive: true, force: true });
}
