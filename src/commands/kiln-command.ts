/** What all commands share: where the store is, how errors are shown, how signals end the program. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from '@oclif/core/command';
import * as Flags from '@oclif/core/flags';
import type * as Interfaces from '@oclif/core/interfaces';
import { didYouMean } from '../dockerfile/suggest.ts';
import { BuildError } from '../errors.ts';
import { renderError } from '../progress/error-report.ts';
import { wantsColor } from '../progress/reporter.ts';
import { withoutBooleanValues } from './boolean-values.ts';
import type { FlagShapes } from './split-command.ts';

/** Exit status of a shell command ended by a signal: 128 and the signal's number. */
const SIGNAL_STATUS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export type SignalName = keyof typeof SIGNAL_STATUS;

/** Thrown where work was interrupted by a signal. */
export class Interrupted extends Error {
  readonly signal: SignalName;

  constructor(signal: SignalName) {
    super(`interrupted by ${signal}`);
    this.signal = signal;
  }
}

export abstract class KilnCommand extends Command {
  static override baseFlags = {
    root: Flags.string({
      description: 'directory of the local store (default $KILN_HOME, else $XDG_DATA_HOME/kiln)',
      helpValue: 'DIR',
      helpGroup: 'GLOBAL',
    }),
  };

  /** Runs the command, as oclif does once it has found it. */
  start(): Promise<unknown> {
    return this._run();
  }

  /** Reads the words; flags that are on or off may have a value. */
  protected override parse<
    F extends Interfaces.OutputFlags<F>,
    B extends Interfaces.OutputFlags<B>,
    A extends Interfaces.OutputArgs<A>,
  >(options?: Interfaces.Input<F, B, A>, words = this.argv): Promise<Interfaces.ParserOutput<F, B, A>> {
    return super.parse(options, withoutBooleanValues(words, this.#flags()));
  }

  /** A command without flags of its own has none at all to oclif. */
  #flags(): FlagShapes {
    return { ...KilnCommand.baseFlags, ...this.ctor.flags };
  }

  /** What the reader has seen of a failure already: all of it (JSON events), or a step's output (a live view). */
  protected shown = { reported: false, output: true };

  /** Absolute directory of the store: the flag, KILN_HOME, XDG_DATA_HOME/kiln, or ~/.local/share/kiln. */
  protected storeRoot(flag: string | undefined): string {
    const { KILN_HOME, XDG_DATA_HOME, HOME } = process.env;
    if (flag !== undefined) return resolve(flag);
    if (KILN_HOME) return resolve(KILN_HOME);
    return join(XDG_DATA_HOME || join(HOME || homedir(), '.local', 'share'), 'kiln');
  }

  /** Columns that a table may take; undefined where nobody looks on, so that nothing is shortened. */
  protected outputWidth(): number | undefined {
    return process.stdout.isTTY ? process.stdout.columns : undefined;
  }

  /** Signals as abort signals: the first asks for an orderly end, the second for an end at once. */
  protected interruption(): { readonly signal: AbortSignal; readonly killSignal: AbortSignal } {
    const first = new AbortController();
    const second = new AbortController();
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => {
        if (first.signal.aborted) second.abort(new Interrupted(name));
        else first.abort(new Interrupted(name));
      });
    }
    return { signal: first.signal, killSignal: second.signal };
  }

  protected override async catch(error: unknown): Promise<void> {
    if (error instanceof Interrupted) {
      process.exitCode = SIGNAL_STATUS[error.signal];
      process.stderr.write('interrupted\n');
      return;
    }
    const shown = isUsageError(error)
      ? usageError(error, { command: this.id ?? '', flags: Object.keys(this.#flags()) })
      : error;
    const { env, stderr } = process;
    const color = wantsColor({ isTTY: stderr.isTTY, env });
    const { reported, output } = this.shown;
    if (!reported) {
      stderr.write(
        renderError(shown, { color, debug: env['KILN_DEBUG'] === '1', columns: stderr.columns, output }),
      );
    }
    process.exitCode = shown instanceof BuildError ? shown.exitStatus : 1;
  }

  /** Waits until everything is written: the program ends right after. */
  protected override async finally(error: Error | undefined): Promise<void> {
    await super.finally(error);
    await new Promise<void>((done) => process.stdout.write('', () => done()));
  }
}

/** oclif's own complaints about flags and arguments. One about a flag given twice is an error of no kind of its own. */
function isUsageError(error: unknown): error is Error & { flags?: unknown } {
  return error instanceof Error && ('oclif' in error || /^Flag --\S+ can only be/.test(error.message));
}

function usageError(
  error: Error & { flags?: unknown },
  { command, flags }: { readonly command: string; readonly flags: readonly string[] },
): BuildError {
  // Flags that do not exist come with the error.
  const unknown = Array.isArray(error.flags) ? error.flags.filter((flag) => typeof flag === 'string') : [];
  const near = unknown.flatMap((flag) =>
    didYouMean(flag.replace(/^--?/, '').replace(/=.*$/s, ''), flags, { prefix: '--' }),
  );
  const message = error.message.replace(/\nSee more help with --help$/, '').trim();
  return new BuildError('USAGE_FLAGS', message, {
    suggestions: [...near, `See kiln ${command} --help.`],
  });
}
