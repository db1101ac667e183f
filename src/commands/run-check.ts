/** What `kiln lint` and `kiln build --check` do. */

import type { BuildRequest } from '../actions/build-request.ts';
import { BuildScratch } from '../actions/build-scratch.ts';
import { wantsColor } from '../progress/reporter.ts';
import { type CheckFormat, checkReport } from './check-report.ts';

/** Checks, prints the report on standard output, and gives back the exit status: 1 when something was found. */
export async function runCheck(
  read: (scratch: BuildScratch) => Promise<BuildRequest>,
  { format, root }: { readonly format: CheckFormat; readonly root: string },
): Promise<0 | 1> {
  const { checkBuild } = await import('../actions/check-build.ts');
  const { openRegistry } = await import('../actions/open-registry.ts');
  const { env, stdout, stderr } = process;
  const { registry, connections } = openRegistry(env);
  const scratch = new BuildScratch(root);
  try {
    const result = await checkBuild(await read(scratch), (reference) => connections.source(reference));
    const color = wantsColor({ isTTY: stdout.isTTY, env });
    stdout.write(checkReport(result, { format, color, columns: stdout.columns ?? 120 }));
    for (const { reference, error } of result.unread) {
      stderr.write(
        `note: ${reference} could not be read, so what its variables decide was not checked: ${error.message}\n`,
      );
    }
    return result.warnings.length > 0 ? 1 : 0;
  } finally {
    scratch.close();
    await registry.close();
  }
}
