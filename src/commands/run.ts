import { availableParallelism } from 'node:os';
import { isatty } from 'node:tty';
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { CallerTerminal, RunWorld } from '../actions/run-container.ts';
import type { RunOptions } from '../actions/run-task.ts';
import { exitCodeOf } from '../container/exit-code.ts';
import { emulatedArchitectures } from '../executor/foreign-platform.ts';
import { parsePlatform } from '../image/platform.ts';
import { createEmitter, createReporter } from '../progress/reporter.ts';
import { monotonicMs } from '../system/monotonic.ts';
import { makeTerminalRaw } from '../system/terminal-calls.ts';
import { checkHostname, parseTmpfs, parseVolume, readEnvironment } from './container-flags.ts';
import { currentDirectory } from './current-directory.ts';
import { keyValue, parseAddHost, parseSize, parseUlimit, usage } from './flag-values.ts';
import { hostPlatform } from './host-platform.ts';
import { Interrupted, KilnCommand } from './kiln-command.ts';
import { isolationFlag, repeatable, snapshotterFlag } from './shared-flags.ts';
import { splitCommand } from './split-command.ts';

/** What the container gets once it runs. */
const FORWARDED = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const;

/** So many times SIGINT or SIGTERM, and a container that does nothing about them is killed. */
const PATIENCE = 3;

export default class Run extends KilnCommand {
  static override description =
    'Run a command in a new container of an image, and exit with its exit code. 125: kiln itself failed; 126, 127: the command cannot be executed, or does not exist.';

  static override examples = [
    '<%= config.bin %> run --rm -it debian bash',
    '<%= config.bin %> run --rm -v "$PWD":/work -w /work node:24 npm test',
    'tar c . | <%= config.bin %> run --rm -i busybox tar t',
  ];

  static override usage = 'run [FLAGS] IMAGE [COMMAND] [ARG…]';

  static override strict = false;

  static override args = {
    image: Args.string({
      description: 'a name or ID in the local store, a name in a registry, or oci:DIR[:TAG]',
      ignoreStdin: true,
    }),
    command: Args.string({
      description: 'what to run instead of the image’s CMD, with its arguments',
      ignoreStdin: true,
    }),
  };

  static override flags = {
    rm: Flags.boolean({ description: 'remove the container when it ends' }),
    name: Flags.string({ description: 'name of the container (default: a generated one)' }),
    interactive: Flags.boolean({ char: 'i', description: 'pass standard input on' }),
    tty: Flags.boolean({ char: 't', description: 'give the container a terminal' }),
    env: Flags.string({
      char: 'e',
      description: 'variable: NAME=VALUE, or NAME to take your own',
      ...repeatable,
    }),
    'env-file': Flags.string({ description: 'file with a variable a line', ...repeatable }),
    volume: Flags.string({
      char: 'v',
      description: 'show a directory or file of yours in the container: SOURCE:DESTINATION[:ro]',
      ...repeatable,
    }),
    tmpfs: Flags.string({ description: 'a directory in memory: DESTINATION[:size=64m]', ...repeatable }),
    workdir: Flags.string({ char: 'w', description: 'directory to run in (default: WORKDIR of the image)' }),
    user: Flags.string({ char: 'u', description: 'USER[:GROUP] to run as, names or numbers' }),
    entrypoint: Flags.string({ description: 'program in place of the image’s ENTRYPOINT; "" for none' }),
    network: Flags.string({
      description: 'host: yours; none; private: one of its own, by pasta or slirp4netns',
      options: ['host', 'none', 'private'],
      default: 'host',
    }),
    hostname: Flags.string({ char: 'h', description: 'host name in the container (default: its short ID)' }),
    'add-host': Flags.string({ description: 'line for /etc/hosts: NAME:ADDRESS', ...repeatable }),
    'read-only': Flags.boolean({ description: 'let nothing be written outside of mounts' }),
    label: Flags.string({ char: 'l', description: 'label for the container: NAME=VALUE', ...repeatable }),
    ulimit: Flags.string({ description: 'limit for processes: NAME=SOFT[:HARD]', ...repeatable }),
    'shm-size': Flags.string({ description: 'size of /dev/shm, such as 128m', default: '64m' }),
    pull: Flags.string({
      description: 'when the registry is asked for the image',
      options: ['missing', 'always', 'never'],
      default: 'missing',
    }),
    platform: Flags.string({
      description: 'platform to take from a multi-platform image (default: this machine’s)',
    }),
    isolation: isolationFlag('how the container is'),
    snapshotter: snapshotterFlag(),
    detach: Flags.boolean({ char: 'd', hidden: true }),
    publish: Flags.string({ char: 'p', hidden: true, ...repeatable }),
  };

  async run(): Promise<void> {
    const { own, rest } = splitCommand(this.argv, { ...Run.baseFlags, ...Run.flags });
    // The command's own words stay out of the parser, which would sort them.
    const { flags } = await this.parse(Run, [...own]);
    const [image, ...command] = rest;
    refuseDaemon(flags);
    if (image === undefined)
      throw usage('USAGE_FLAGS', 'the image is missing', 'Write kiln run IMAGE [COMMAND].');
    const host = hostPlatform();
    const { env } = process;
    const directory = currentDirectory();
    if (flags.tty && flags.interactive && !isatty(0)) {
      throw usage(
        'USAGE_TTY',
        'standard input is no terminal, so -t cannot go with -i',
        'Leave -t out to pass input on, or leave -i out.',
      );
    }
    const options: RunOptions = {
      root: this.storeRoot(flags.root),
      image,
      name: flags.name,
      autoRemove: flags.rm,
      overrides: {
        command,
        entrypoint: flags.entrypoint,
        env: readEnvironment({ files: flags['env-file'] ?? [], entries: flags.env ?? [] }, env),
        user: flags.user,
        workdir: flags.workdir,
        labels: Object.fromEntries((flags.label ?? []).map((text) => keyValue('--label', text))),
      },
      mounts: [
        ...(flags.volume ?? []).map((text) => parseVolume(text, directory)),
        ...(flags.tmpfs ?? []).map(parseTmpfs),
      ],
      network: flags.network as RunOptions['network'],
      hostname: flags.hostname === undefined ? undefined : checkHostname(flags.hostname),
      extraHosts: (flags['add-host'] ?? []).map(parseAddHost),
      shmSize: parseSize('--shm-size', flags['shm-size']),
      ulimits: (flags.ulimit ?? []).map(parseUlimit),
      readonlyRoot: flags['read-only'],
      interactive: flags.interactive,
      pull: flags.pull as RunOptions['pull'],
      directory,
      platform: flags.platform === undefined ? host : parsePlatform(flags.platform, host),
      hostPlatform: host,
      emulated: emulatedArchitectures(),
      isolation: flags.isolation as RunOptions['isolation'],
      snapshotter: flags.snapshotter as RunOptions['snapshotter'],
      threads: Math.max(2, availableParallelism()),
      env: { ...env },
    };
    process.exitCode = await this.#start(options, flags.tty ? callerTerminal() : undefined);
  }

  async #start(options: RunOptions, terminal: CallerTerminal | undefined): Promise<number> {
    const { env, stderr } = process;
    const reporter = createReporter({
      mode: 'auto',
      stream: stderr,
      isTTY: stderr.isTTY,
      env,
      now: monotonicMs,
    });
    const emit = createEmitter({ reporter, now: monotonicMs });
    const [{ runContainer }, { openRegistry }] = await Promise.all([
      import('../actions/run-container.ts'),
      import('../actions/open-registry.ts'),
    ]);
    const { registry, connections } = openRegistry(options.env);
    const signals = this.#signals();
    try {
      return await runContainer(options, {
        connections,
        emit,
        ...signals,
        onStart: (forward) => {
          reporter.close();
          signals.onStart(forward);
        },
        terminal,
        clock: () => Date.now(),
      });
    } catch (error) {
      throw signals.signal.aborted ? signals.signal.reason : error;
    } finally {
      reporter.close();
      await registry.close();
    }
  }

  /** Until the container runs signals end the command; then they are the container's. */
  #signals(): Pick<RunWorld, 'signal' | 'killSignal' | 'onStart'> {
    const first = new AbortController();
    const second = new AbortController();
    let forward: ((signal: NodeJS.Signals) => void) | undefined;
    let asked = 0;
    for (const name of FORWARDED) {
      process.on(name, () => {
        const ends = name === 'SIGINT' || name === 'SIGTERM' || name === 'SIGHUP';
        if (forward !== undefined) {
          if (ends) asked += 1;
          forward(asked >= PATIENCE ? 'SIGKILL' : name);
        } else if (ends) {
          if (first.signal.aborted) second.abort(new Interrupted(name));
          else first.abort(new Interrupted(name));
        }
      });
    }
    const onStart: RunWorld['onStart'] = (next) => {
      forward = next;
    };
    return { signal: first.signal, killSignal: second.signal, onStart };
  }

  protected override async catch(error: unknown): Promise<void> {
    // What the runtime said went straight to standard error.
    this.shown = { reported: false, output: false };
    await super.catch(error);
    if (!(error instanceof Interrupted)) process.exitCode = exitCodeOf(error);
  }
}

function refuseDaemon({ detach, publish }: { detach: boolean; publish: string[] | undefined }): void {
  if (detach) {
    throw usage(
      'USAGE_DETACH',
      'kiln has no daemon that a container could be left to',
      'Let the shell do it: kiln run … &, or systemd-run --user kiln run …, or nohup.',
    );
  }
  if (publish !== undefined) {
    throw usage(
      'USAGE_PUBLISH',
      'kiln publishes no ports',
      'With --network host, the default, a port of the container is a port of this machine.',
    );
  }
}

/** The terminal that kiln was started from, as far as there is one. */
function callerTerminal(): CallerTerminal {
  const { stdout } = process;
  return {
    // A terminal that nobody has told its size has none.
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
    onResize: (listener) => stdout.on('resize', listener),
    makeRaw: () => {
      // By libc, because Node's raw mode still turns \n into \r\n, which the container's terminal has done.
      const restore = isatty(0) ? makeTerminalRaw(0) : () => {};
      process.once('exit', restore);
      return restore;
    },
  };
}
