import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { KilnCommand } from './kiln-command.ts';

export default class Inspect extends KilnCommand {
  static override description = 'Show everything about images of the local store and containers, as JSON.';

  static override strict = false;

  static override usage = 'inspect NAME… [-f FORMAT]';

  static override args = {
    name: Args.string({
      description: 'name or ID of a container, or of an image in the local store',
      required: true,
    }),
  };

  static override flags = {
    format: Flags.string({
      char: 'f',
      description: 'json (on one line), or a Go template such as "{{json .Config.Env}}"',
      helpValue: 'FORMAT',
    }),
    type: Flags.string({ description: 'what to look for', options: ['image', 'container'] }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Inspect);
    const [{ Store }, { inspect }, { renderDetails }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/inspect.ts'),
      import('../format/listing.ts'),
    ]);
    const store = Store.open(this.storeRoot(flags.root));
    const found: object[] = [];
    let failure: unknown;
    for (const name of argv as string[]) {
      try {
        found.push(inspect(store, name, flags.type as 'image' | 'container' | undefined));
      } catch (error) {
        // The others are shown all the same; the first failure is told at the end.
        failure ??= error;
      }
    }
    process.stdout.write(renderDetails(found, flags.format));
    if (failure !== undefined) throw failure;
  }
}
