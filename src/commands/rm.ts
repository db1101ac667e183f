import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { KilnCommand } from './kiln-command.ts';

export default class Rm extends KilnCommand {
  static override description = 'Remove containers, with all that they have written.';

  static override strict = false;

  static override usage = 'rm CONTAINER… [-f]';

  static override args = {
    container: Args.string({ description: 'name or ID of a container', required: true }),
  };

  static override flags = {
    force: Flags.boolean({
      char: 'f',
      description: 'kill those that run; a container that is not there is no error',
    }),
    volumes: Flags.boolean({ char: 'v', hidden: true }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Rm);
    const { signal, killSignal } = this.interruption();
    const [{ Store }, { removeContainers }, { enterNamespace }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/remove-containers.ts'),
      import('../executor/namespace.ts'),
    ]);
    const root = this.storeRoot(flags.root);
    const names = [...new Set(argv as string[])];
    const { removed, failure } = await removeContainers(Store.open(root), names, {
      force: flags.force,
      remove: (directories) =>
        enterNamespace<undefined>({
          payload: { task: 'container', request: { root, kind: 'remove', directories } },
          env: { ...process.env },
          signal,
          killSignal,
        }),
    });
    process.stdout.write(removed.map((name) => `${name}\n`).join(''));
    if (failure !== undefined) throw failure;
  }
}
