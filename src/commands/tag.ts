import * as Args from '@oclif/core/args';
import { KilnCommand } from './kiln-command.ts';

export default class Tag extends KilnCommand {
  static override description = 'Give an image of the local store another name.';

  static override strict = false;

  static override usage = 'tag SOURCE TARGET…';

  static override args = {
    source: Args.string({ description: 'name or ID of an image in the local store', required: true }),
    target: Args.string({ description: 'new name; several may follow', required: true }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Tag);
    const [source = '', ...targets] = argv as string[];
    const [{ Store }, { tagImage }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/name-images.ts'),
    ]);
    tagImage(Store.open(this.storeRoot(flags.root)), { source, targets }, new Date());
  }
}
