import * as Flags from '@oclif/core/flags';
import { parsePlatform } from '../image/platform.ts';
import { usage } from './flag-values.ts';
import { hostPlatform } from './host-platform.ts';
import { KilnCommand } from './kiln-command.ts';

export default class Load extends KilnCommand {
  static override description =
    'Load images from an archive into the local store: of docker save, kiln save, or an OCI layout.';

  static override flags = {
    input: Flags.string({
      char: 'i',
      description: 'file to read (default: standard input)',
      helpValue: 'FILE',
    }),
    quiet: Flags.boolean({ char: 'q', description: 'accepted for habit; there is no progress to hide' }),
    platform: Flags.string({
      description: 'platform to take when the archive holds a part of an image for several',
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Load);
    const { signal } = this.interruption();
    const { stdin } = process;
    const input = flags.input ?? '-';
    if (input === '-' && stdin.isTTY) {
      throw usage(
        'USAGE_STDIN',
        'standard input is a terminal',
        'Name the archive with -i FILE, or pipe it in.',
      );
    }
    const host = hostPlatform();
    const platform = flags.platform === undefined ? host : parsePlatform(flags.platform, host);
    const [{ Store }, { loadImages }, { openInput }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/load-images.ts'),
      import('./input-file.ts'),
    ]);
    const store = Store.open(this.storeRoot(flags.root));
    const source = input === '-' ? stdin : await openInput(input);
    try {
      const loaded = await loadImages(store, source, { platform, signal, clock: () => Date.now() });
      for (const { names, id } of loaded) {
        if (names.length === 0) process.stdout.write(`Loaded image ID: ${id}\n`);
        for (const name of names) process.stdout.write(`Loaded image: ${name}\n`);
      }
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    }
  }
}
