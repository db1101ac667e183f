import { homedir } from 'node:os';
import * as Args from '@oclif/core/args';
import { KilnCommand } from './kiln-command.ts';

export default class Logout extends KilnCommand {
  static override description = 'Forget the login to a registry.';

  static override args = {
    registry: Args.string({ description: 'host name of the registry', default: 'docker.io' }),
  };

  async run(): Promise<void> {
    const { args } = await this.parse(Logout);
    const [{ helperRunner }, { eraseLogin }] = await Promise.all([
      import('../actions/open-registry.ts'),
      import('../registry/credential-store.ts'),
    ]);
    const env = { ...process.env };
    const removed = await eraseLogin(args.registry, {
      env,
      home: env['HOME'] ?? homedir(),
      runHelper: helperRunner(env),
    });
    const places = removed.map(({ place }) => place).join(', ');
    process.stdout.write(
      removed.length === 0 ? `Not logged in to ${args.registry}\n` : `Removed the login from ${places}\n`,
    );
  }
}
