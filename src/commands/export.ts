import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { NamespaceTask } from '../namespace-main.ts';
import { KilnCommand } from './kiln-command.ts';
import { outputFile, refuseTerminal } from './output-file.ts';

export default class Export extends KilnCommand {
  static override description = 'Write the root filesystem of a container as a tar.';

  static override args = {
    container: Args.string({ description: 'name or ID of a container', required: true }),
  };

  static override flags = {
    output: Flags.string({ char: 'o', description: 'file to write (default: standard output)' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Export);
    const { signal, killSignal } = this.interruption();
    const file = outputFile(flags.output);
    if (file === undefined) refuseTerminal('-o FILE');
    const [{ Store }, { enterNamespace }] = await Promise.all([
      import('../store/store.ts'),
      import('../executor/namespace.ts'),
    ]);
    const root = this.storeRoot(flags.root);
    const { id } = Store.open(root).containers.find(args.container);
    const payload: NamespaceTask = {
      task: 'container',
      request: { root, kind: 'export', container: id, file, searchPath: process.env['PATH'] },
    };
    await enterNamespace<undefined>({ payload, env: { ...process.env }, signal, killSignal });
  }
}
