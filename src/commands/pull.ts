import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { parsePlatform } from '../image/platform.ts';
import { createEmitter, createReporter, type ProgressMode } from '../progress/reporter.ts';
import { monotonicMs } from '../system/monotonic.ts';
import { hostPlatform } from './host-platform.ts';
import { KilnCommand } from './kiln-command.ts';
import { progressFlag } from './shared-flags.ts';

export default class Pull extends KilnCommand {
  static override description = 'Pull an image from its registry into the local store.';

  static override args = {
    image: Args.string({
      description: 'name of the image: [REGISTRY/]REPOSITORY[:TAG|@DIGEST]',
      required: true,
    }),
  };

  static override flags = {
    platform: Flags.string({
      description: 'platform to take from a multi-platform image (default: this machine’s)',
    }),
    progress: progressFlag(),
    quiet: Flags.boolean({ char: 'q', description: 'print the digest only' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Pull);
    const { signal } = this.interruption();
    const mode: ProgressMode = flags.quiet ? 'quiet' : (flags.progress as ProgressMode);
    const { env, stderr } = process;
    const reporter = createReporter({ mode, stream: stderr, isTTY: stderr.isTTY, env, now: monotonicMs });
    const emit = createEmitter({ reporter, now: monotonicMs });
    const [{ pullImage }, { openRegistry }] = await Promise.all([
      import('../actions/pull-image.ts'),
      import('../actions/open-registry.ts'),
    ]);
    const { registry, connections } = openRegistry({ ...env });
    const host = hostPlatform();
    const platform = flags.platform === undefined ? host : parsePlatform(flags.platform, host);
    try {
      const options = {
        root: this.storeRoot(flags.root),
        connections,
        platform,
        emit,
        signal,
        clock: () => Date.now(),
      };
      const manifest = await pullImage(args.image, options);
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
