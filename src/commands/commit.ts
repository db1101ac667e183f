import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { NamespaceTask } from '../namespace-main.ts';
import { epochFlag } from './flag-values.ts';
import { KilnCommand } from './kiln-command.ts';
import { changeFlag } from './shared-flags.ts';

export default class Commit extends KilnCommand {
  static override description =
    'Make an image of a container: its image, and a layer of what the container has changed.';

  static override examples = [
    '<%= config.bin %> commit --change "CMD [\\"app\\"]" -m "configured by hand" box team/app:2',
  ];

  static override args = {
    container: Args.string({ description: 'name or ID of a container', required: true }),
    name: Args.string({ description: 'name for the image: REPOSITORY[:TAG]', ignoreStdin: true }),
  };

  static override flags = {
    pause: Flags.boolean({
      char: 'p',
      hidden: true,
      allowNo: true,
      description: 'accepted for habit; a container is not paused',
    }),
    change: changeFlag(),
    author: Flags.string({ char: 'a', description: 'who has made the image' }),
    message: Flags.string({ char: 'm', description: 'comment in the history' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Commit);
    const { signal, killSignal } = this.interruption();
    const [{ Store }, { newNames }, { enterNamespace }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/name-images.ts'),
      import('../executor/namespace.ts'),
    ]);
    const root = this.storeRoot(flags.root);
    const { id } = Store.open(root).containers.find(args.container);
    const payload: NamespaceTask = {
      task: 'container',
      request: {
        root,
        kind: 'commit',
        container: id,
        names: newNames(args.name === undefined ? [] : [args.name]),
        changes: flags.change ?? [],
        author: flags.author,
        message: flags.message,
        epoch: epochFlag(process.env['SOURCE_DATE_EPOCH']),
      },
    };
    const env = { ...process.env };
    const imageId = await enterNamespace<string>({ payload, env, signal, killSignal });
    process.stdout.write(`${imageId}\n`);
  }
}
