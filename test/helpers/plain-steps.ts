/** Steps of a build, as --progress=plain told of them: instructions that the cache had, or that were run. */
export function stepsOf(stderr: string, outcome: 'CACHED' | 'DONE'): string[] {
  const names = new Map(
    [...stderr.matchAll(/^#(\d+) \[[^\]]+\] (.+)$/gm)].map(([, id, name]) => [id, name ?? '']),
  );
  const ends = [...stderr.matchAll(/^#(\d+) (CACHED|DONE)/gm)].filter(([, , said]) => said === outcome);
  return ends
    .flatMap(([, id]) => names.get(id) ?? [])
    .filter((name) => /^(?:RUN|COPY|WORKDIR|ADD)/.test(name));
}
