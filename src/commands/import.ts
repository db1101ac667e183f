import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { parsePlatform } from '../image/platform.ts';
import { epochFlag, usage } from './flag-values.ts';
import { hostPlatform } from './host-platform.ts';
import { KilnCommand } from './kiln-command.ts';
import { changeFlag } from './shared-flags.ts';

export default class Import extends KilnCommand {
  static override description = 'Make an image of one layer from a tar of a root filesystem.';

  static override args = {
    source: Args.string({
      description: 'a file, an http or https address, or - for standard input',
      required: true,
    }),
    name: Args.string({ description: 'name for the image: REPOSITORY[:TAG]' }),
  };

  static override flags = {
    change: changeFlag(),
    message: Flags.string({ char: 'm', description: 'comment in the history' }),
    platform: Flags.string({ description: 'platform the files are for (default: this machine’s)' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Import);
    const { signal } = this.interruption();
    const { stdin, env } = process;
    if (args.source === '-' && stdin.isTTY) {
      throw usage('USAGE_STDIN', 'standard input is a terminal', 'Name a file, or pipe the tar in.');
    }
    const host = hostPlatform();
    const platform = flags.platform === undefined ? host : parsePlatform(flags.platform, host);
    const epoch = epochFlag(env['SOURCE_DATE_EPOCH']);
    const [{ Store }, { importImage }, { newNames }, { openAddress, openInput }, { openRegistry }] =
      await Promise.all([
        import('../store/store.ts'),
        import('../actions/import-image.ts'),
        import('../actions/name-images.ts'),
        import('./input-file.ts'),
        import('../actions/open-registry.ts'),
      ]);
    const names = newNames(args.name === undefined ? [] : [args.name]);
    const store = Store.open(this.storeRoot(flags.root));
    const { registry } = openRegistry({ ...env });
    try {
      const isAddress = /^https?:\/\//i.test(args.source);
      const source =
        args.source === '-'
          ? stdin
          : isAddress
            ? await openAddress(args.source, registry.download.bind(registry), signal)
            : await openInput(args.source);
      const id = await importImage(store, source, {
        names,
        changes: flags.change ?? [],
        message: flags.message ?? `Imported from ${isAddress ? new URL(args.source).host : args.source}`,
        platform,
        created: epoch === undefined ? new Date() : new Date(epoch * 1000),
        signal,
      });
      process.stdout.write(`${id}\n`);
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      await registry.close();
    }
  }
}
