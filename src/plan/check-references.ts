/** References between stages that can never work, looked for in all stages, whether the target needs them or not. */
import type { Instruction } from '../dockerfile/instruction.ts';
import { readMountFrom } from '../dockerfile/run-mount.ts';
import { BuildError, type SourceLocation } from '../errors.ts';

/** A stage as far as it refers to others. */
interface Stage {
  readonly index: number;
  readonly name?: string | undefined;
  readonly from: { readonly location: SourceLocation };
  readonly base: { readonly kind: string; readonly index?: number };
  readonly instructions: readonly Instruction[];
}

interface Reference {
  readonly to: number;
  readonly location: SourceLocation;
}

/** Throws DOCKERFILE_FROM for a stage number that does not exist and DOCKERFILE_CIRCULAR for stages that need each other. */
export function checkReferences(stages: readonly Stage[]): void {
  const references = stages.map((stage) => referencesOf(stage, stages));
  const done = new Set<number>();
  const visit = (index: number, path: readonly number[]): void => {
    if (done.has(index)) return;
    for (const { to, location } of references[index] ?? []) {
      if (to === index || path.includes(to)) throw circular(stages[to], location);
      visit(to, [...path, index]);
    }
    done.add(index);
  };
  for (const { index } of stages) visit(index, []);
}

function circular(stage: Stage | undefined, location: SourceLocation): BuildError {
  const name = stage?.name ?? `stage-${stage?.index}`;
  return new BuildError('DOCKERFILE_CIRCULAR', `circular dependency detected on stage: ${name}`, {
    location,
    suggestions: ['A stage can copy only from stages above it that do not need it themselves.'],
  });
}

function referencesOf(stage: Stage, stages: readonly Stage[]): Reference[] {
  const references: Reference[] = [];
  if (stage.base.index !== undefined)
    references.push({ to: stage.base.index, location: stage.from.location });
  for (const instruction of stage.instructions) {
    const { location } = instruction;
    const names =
      instruction.keyword === 'COPY'
        ? [instruction.from]
        : instruction.keyword === 'RUN'
          ? instruction.mounts.map(readMountFrom)
          : [];
    for (const name of names) {
      const to = name === undefined ? undefined : stageOf(name, stages, location);
      if (to !== undefined) references.push({ to, location });
    }
  }
  return references;
}

function stageOf(name: string, stages: readonly Stage[], location: SourceLocation): number | undefined {
  const lower = name.toLowerCase();
  const named = stages.findLast((stage) => stage.name === lower);
  if (named !== undefined || !/^\d+$/.test(name)) return named?.index;
  if (Number(name) < stages.length) return Number(name);
  throw new BuildError('DOCKERFILE_FROM', `invalid stage index ${name}`, {
    location,
    suggestions: [`This Dockerfile has ${stages.length} stage(s), numbered from 0.`],
  });
}
