import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { parsePlatform } from '../image/platform.ts';
import { hostPlatform } from './host-platform.ts';
import { KilnCommand } from './kiln-command.ts';
import { outputFile, refuseTerminal } from './output-file.ts';

export default class Save extends KilnCommand {
  static override description = 'Write images of the local store into one archive.';

  static override strict = false;

  static override usage = 'save IMAGE… [-o FILE] [--format docker|oci]';

  static override args = {
    image: Args.string({
      description: 'name or ID of an image; a name without tag means all its tags',
      required: true,
    }),
  };

  static override flags = {
    output: Flags.string({
      char: 'o',
      description: 'file to write (default: standard output)',
      helpValue: 'FILE',
    }),
    format: Flags.string({
      description: 'docker: what docker load reads; oci: an OCI image layout, the stored bytes as they are',
      options: ['docker', 'oci'],
      default: 'docker',
    }),
    platform: Flags.string({
      description: 'platform to take of an image for several (default: this machine’s)',
    }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Save);
    const { signal } = this.interruption();
    const { stdout } = process;
    const destination = outputFile(flags.output) ?? '-';
    if (destination === '-') refuseTerminal('-o FILE');
    const host = hostPlatform();
    const platform = flags.platform === undefined ? host : parsePlatform(flags.platform, host);
    const [{ Store }, { saveImages }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/save-images.ts'),
    ]);
    const store = Store.open(this.storeRoot(flags.root));
    try {
      const format = flags.format as 'docker' | 'oci';
      await saveImages(store, argv as string[], { format, destination, platform, signal, stdout });
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    }
  }
}
