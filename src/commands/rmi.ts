import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { KilnCommand } from './kiln-command.ts';

export default class Rmi extends KilnCommand {
  static override description = 'Remove names of images; kiln prune frees the space of images without one.';

  static override strict = false;

  static override usage = 'rmi IMAGE… [-f]';

  static override args = {
    image: Args.string({ description: 'name or ID of an image in the local store', required: true }),
  };

  static override flags = {
    force: Flags.boolean({
      char: 'f',
      description:
        'remove every name of an ID, also when a stopped container is made from it; an image that is not there is no error',
    }),
    'no-prune': Flags.boolean({
      hidden: true,
      description: 'accepted for habit; images have no parents here',
    }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Rmi);
    const [{ Store }, { untagImage }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/name-images.ts'),
    ]);
    const store = Store.open(this.storeRoot(flags.root));
    let failure: unknown;
    for (const image of argv as string[]) {
      try {
        for (const { kind, name } of untagImage(store, image, { force: flags.force })) {
          process.stdout.write(`${kind === 'deleted' ? 'Deleted' : 'Untagged'}: ${name}\n`);
        }
      } catch (error) {
        // The others are removed all the same; the first failure is told at the end.
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }
}
