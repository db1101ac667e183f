/** For tests of machines that lack something. */
import type { Workspace } from './workspace.ts';

/** A directory for PATH with every program but some. */
export function pathWithout(work: Workspace, ...absent: readonly string[]): string {
  work.shell(
    `mkdir -p ../path && for d in /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do for p in $d/*; do ln -sf "$p" ../path/; done; done; cd ../path && rm -f ${absent.join(' ')}; chmod -R a+rX .`,
  );
  return `${work.directory}/path`;
}
