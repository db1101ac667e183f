/**
 * What is better fetched before the namespace is entered: inside, the user seems to be root, and ssh would look for its
 * keys and settings in root's home.
 */
import { gitRefOf } from '../dockerfile/remote-source.ts';
import type { FileTree } from '../layer/file-tree.ts';
import type { Plan } from '../plan/plan.ts';
import { inputsOf } from '../plan/step.ts';
import type { RemoteSources } from './remote-sources.ts';

/** Opens every named context of the plans, and checks out every repository that is reached by ssh. */
export async function prefetch(
  plans: readonly { readonly plan: Plan }[],
  {
    remote,
    contextTree,
  }: {
    readonly remote: RemoteSources;
    readonly contextTree: (name: string | undefined) => Promise<FileTree>;
  },
): Promise<void> {
  const work: Promise<unknown>[] = [];
  for (const { stage, steps } of plans.flatMap(({ plan }) => plan.stages)) {
    for (const input of [stage.base, ...steps.flatMap(inputsOf)]) {
      if (input.kind === 'context') work.push(contextTree(input.name));
    }
    for (const step of steps) {
      if (step.kind !== 'transfer') continue;
      for (const source of step.sources) {
        if (source.kind !== 'git' || /^(?:https?|git):\/\//.test(source.url)) continue;
        work.push(remote.checkout(gitRefOf(source.url, step)));
      }
    }
  }
  await Promise.all(work);
}
