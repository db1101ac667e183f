import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { parsePlatform } from '../image/platform.ts';
import { createEmitter, createReporter, type ProgressMode } from '../progress/reporter.ts';
import { monotonicMs } from '../system/monotonic.ts';
import { hostPlatform } from './host-platform.ts';
import { KilnCommand } from './kiln-command.ts';
import { progressFlag } from './shared-flags.ts';

export default class Push extends KilnCommand {
  static override description =
    'Push an image of the local store to its registry; one for several platforms with all of them.';

  static override args = {
    image: Args.string({ description: 'name of the image: REGISTRY/REPOSITORY[:TAG]', required: true }),
    destination: Args.string({ description: 'name to push to, when it is another one' }),
  };

  static override flags = {
    compression: Flags.string({
      description: 'form of layers',
      options: ['gzip', 'zstd', 'uncompressed'],
      default: 'gzip',
    }),
    platform: Flags.string({
      description: 'push this one of a multi-platform image alone (default: all)',
    }),
    progress: progressFlag(),
    quiet: Flags.boolean({ char: 'q', description: 'print the digest only' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Push);
    const { signal } = this.interruption();
    const mode: ProgressMode = flags.quiet ? 'quiet' : (flags.progress as ProgressMode);
    const { env, stderr } = process;
    const reporter = createReporter({ mode, stream: stderr, isTTY: stderr.isTTY, env, now: monotonicMs });
    const emit = createEmitter({ reporter, now: monotonicMs });
    const [{ pushStored }, { openRegistry }] = await Promise.all([
      import('../actions/push-image.ts'),
      import('../actions/open-registry.ts'),
    ]);
    const { registry, connections } = openRegistry({ ...env });
    const step = { id: 'push', prefix: '[push]', name: args.destination ?? args.image };
    const began = monotonicMs();
    try {
      emit({ type: 'step-started', step });
      const form = {
        compression: flags.compression as 'gzip' | 'zstd' | 'uncompressed',
        level: undefined,
        force: false,
      };
      const options = {
        root: this.storeRoot(flags.root),
        connections,
        signal,
      };
      const platform =
        flags.platform === undefined ? undefined : parsePlatform(flags.platform, hostPlatform());
      const manifest = await pushStored(args.image, { form, as: args.destination, platform }, options);
      emit({ type: 'step-finished', step, outcome: 'done', duration: monotonicMs() - began });
      reporter.close();
      process.stdout.write(`${manifest.digest}\n`);
    } catch (error) {
      reporter.close();
      throw signal.aborted ? signal.reason : error;
    } finally {
      await registry.close();
    }
  }
}
