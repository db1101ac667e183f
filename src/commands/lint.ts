import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { type BuildFlags, toBuildRequest } from './build-options.ts';
import { CHECK_FORMATS, type CheckFormat } from './check-report.ts';
import { KilnCommand } from './kiln-command.ts';
import { runCheck } from './run-check.ts';
import { repeatable } from './shared-flags.ts';

export default class Lint extends KilnCommand {
  static override description =
    'Check a Dockerfile as docker build --check does. Builds nothing; exits with 1 when something was found.';

  static override examples = [
    '<%= config.bin %> lint',
    '<%= config.bin %> lint -f docker/app.Dockerfile --format sarif .',
    '<%= config.bin %> lint - < Dockerfile',
  ];

  static override args = {
    context: Args.string({
      description: 'what the Dockerfile is built with: a directory, an address, or - for standard input',
      default: '.',
    }),
  };

  static override flags = {
    file: Flags.string({ char: 'f', description: 'path of the Dockerfile (default CONTEXT/Dockerfile)' }),
    format: Flags.string({ description: 'form of the report', options: [...CHECK_FORMATS], default: 'text' }),
    'build-arg': Flags.string({ description: 'value for an ARG: NAME=VALUE', ...repeatable }),
    'build-context': Flags.string({
      description: 'a further context for FROM and --from: NAME=DIR',
      ...repeatable,
    }),
    target: Flags.string({ description: 'stage that would be built (all are checked)' }),
    platform: Flags.string({ description: 'platform that would be built for', ...repeatable }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Lint);
    const { signal } = this.interruption();
    const { format, ...given } = flags;
    const root = this.storeRoot(flags.root);
    const build: BuildFlags = {
      ...given,
      network: 'host',
      'shm-size': '64m',
      isolation: 'auto',
      snapshotter: 'auto',
    };
    process.exitCode = await runCheck(
      (scratch) => toBuildRequest(build, { context: args.context, root, scratch, signal }),
      { format: format as CheckFormat, root },
    );
  }
}
