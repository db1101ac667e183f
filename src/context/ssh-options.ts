/**
 * How git reaches a host by ssh: as the user's ssh would, without ever asking. A host that is not known yet is taken as
 * it is, as docker build takes it, but for one build only; a host that shows another key than the known one is refused.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Writes settings that come after the user's own into an empty directory, and gives the options of ssh that name them,
 * as one text for a shell.
 */
export function sshOptions(directory: string, { agent }: { readonly agent: string | undefined }): string {
  const config = join(directory, 'config');
  const known = [join(directory, 'known_hosts'), '~/.ssh/known_hosts', '~/.ssh/known_hosts2'];
  writeFileSync(
    config,
    [
      // Of a setting that is there twice, ssh takes the first.
      'Include ~/.ssh/config',
      'Include /etc/ssh/ssh_config',
      'Match all',
      'StrictHostKeyChecking accept-new',
      `UserKnownHostsFile ${known.map((path) => `"${path}"`).join(' ')}`,
      '',
    ].join('\n'),
    { mode: 0o600 },
  );
  const named = agent === undefined ? [] : ['-o', quoted(`IdentityAgent="${agent.replaceAll('%', '%%')}"`)];
  return ['-F', quoted(config), '-o', 'BatchMode=yes', ...named].join(' ');
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
