/** The stages of a Dockerfile as the checks walk them. */
import type { ArgInstruction, Dockerfile, FromInstruction, Instruction } from '../instruction.ts';

export interface CheckedStage {
  readonly index: number;
  readonly from: FromInstruction;
  readonly instructions: readonly Instruction[];
}

export interface CheckedFile {
  /** ARGs before the first FROM. */
  readonly globals: readonly ArgInstruction[];
  readonly stages: readonly CheckedStage[];
}

/** Sorts instructions into stages. */
export function stagesOf(dockerfile: Dockerfile): CheckedFile {
  const globals: ArgInstruction[] = [];
  const stages: (CheckedStage & { readonly instructions: Instruction[] })[] = [];
  for (const instruction of dockerfile.instructions) {
    const stage = stages.at(-1);
    if (instruction.keyword === 'FROM')
      stages.push({ index: stages.length, from: instruction, instructions: [] });
    else if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.keyword === 'ARG') globals.push(instruction);
  }
  return { globals, stages };
}

/** The keyword in the case it was written. */
export function writtenKeyword(instruction: Instruction): string {
  return instruction.original.slice(0, instruction.keyword.length);
}
