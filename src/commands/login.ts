import { homedir } from 'node:os';
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BuildError } from '../errors.ts';
import { KilnCommand } from './kiln-command.ts';

export default class Login extends KilnCommand {
  static override description = 'Log in to a registry; the login is kept where docker and podman find it.';

  static override args = {
    registry: Args.string({ description: 'host name of the registry', default: 'docker.io' }),
  };

  static override flags = {
    username: Flags.string({ char: 'u', description: 'user name', required: true }),
    password: Flags.string({
      char: 'p',
      description: 'password (better: --password-stdin)',
      exclusive: ['password-stdin'],
    }),
    'password-stdin': Flags.boolean({ description: 'read the password from standard input' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Login);
    const password = flags['password-stdin']
      ? (await readAll(process.stdin)).replace(/\r?\n$/, '')
      : flags.password;
    if (password === undefined || password === '') {
      throw new BuildError('USAGE_PASSWORD', 'there is no password', {
        suggestions: ['Pipe it in: echo "$TOKEN" | kiln login -u NAME --password-stdin REGISTRY'],
      });
    }
    const [{ openRegistry, helperRunner }, { storeLogin }] = await Promise.all([
      import('../actions/open-registry.ts'),
      import('../registry/credential-store.ts'),
    ]);
    const env = { ...process.env };
    const { registry } = openRegistry(env);
    const credentials = { kind: 'password', username: flags.username, password } as const;
    try {
      await registry.checkLogin(args.registry, credentials);
      const home = env['HOME'] ?? homedir();
      const stored = await storeLogin(args.registry, credentials, {
        env,
        home,
        runHelper: helperRunner(env),
      });
      if (stored.plain) process.stderr.write(`The password is kept readable in ${stored.place}.\n`);
      process.stdout.write('Login Succeeded\n');
    } finally {
      await registry.close();
    }
  }
}

async function readAll(stream: NodeJS.ReadStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
