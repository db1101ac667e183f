/** Checks on how the file is written: casing, names, comments. They need nothing but the text. */
import type { Dockerfile, FromInstruction, Instruction } from '../instruction.ts';
import { splitAtSeparators } from '../text.ts';
import { splitHead } from '../words.ts';
import type { WarningCollector } from './collector.ts';
import { messages } from './rules.ts';
import { type CheckedFile, writtenKeyword } from './stages.ts';

function isLower(word: string): boolean {
  return word === word.toLowerCase();
}

function isUpper(word: string): boolean {
  return word === word.toUpperCase();
}

/** Empty continuation lines, which the parser has found. */
export function checkContinuations(dockerfile: Dockerfile, collector: WarningCollector): void {
  for (const { rule, location, message } of dockerfile.warnings) {
    if (rule === 'NoEmptyContinuation') collector.add('NoEmptyContinuation', { location }, { message });
  }
}

/** FROM as it is written: the word AS and the stage's name. */
function checkFromCasing(from: FromInstruction, collector: WarningCollector): void {
  const { keyword, rest } = splitHead(from.original, '\\');
  const [, as, name] = splitAtSeparators(rest);
  if (as === undefined || name === undefined) return;
  if (!isLower(name)) {
    const message = messages.stageNameCasing(name);
    collector.add('StageNameCasing', from, { message, needle: { kind: 'argument', text: name } });
  }
  // A keyword that is in neither case is told of by ConsistentInstructionCasing.
  const matches = isLower(keyword) ? isLower(as) : isUpper(as);
  if (matches || !(isLower(keyword) || isUpper(keyword))) return;
  const message = messages.fromAsCasing(keyword, as);
  collector.add('FromAsCasing', from, { message, needle: { kind: 'argument', text: as } });
}

/** The comment right above a stage or an ARG should describe it. */
function checkDescription(
  instruction: Instruction,
  names: readonly string[],
  collector: WarningCollector,
): void {
  const comment = instruction.comments?.at(-1);
  const [firstName] = names;
  if (comment === undefined || firstName === undefined) return;
  if (names.includes(comment.split(' ')[0] ?? '')) return;
  const name = names.length > 1 ? '<arg_key>' : firstName;
  const message = messages.invalidDefinitionDescription(instruction.keyword, name);
  collector.add('InvalidDefinitionDescription', instruction, { message });
}

/** Checks on single instructions. */
export function checkInstructions(dockerfile: Dockerfile, collector: WarningCollector): void {
  for (const instruction of dockerfile.instructions) {
    switch (instruction.keyword) {
      case 'FROM':
        checkFromCasing(instruction, collector);
        checkDescription(
          instruction,
          instruction.stageName === undefined ? [] : [instruction.stageName],
          collector,
        );
        break;
      case 'ARG':
        checkDescription(
          instruction,
          instruction.args.map(({ name }) => name),
          collector,
        );
        break;
      case 'MAINTAINER':
        collector.add('MaintainerDeprecated', instruction, {
          message: messages.maintainerDeprecated(),
          needle: { kind: 'keyword' },
        });
    }
  }
}

const RESERVED = new Set(['context', 'scratch']);

/** Stage names that are reserved or used twice. */
export function checkStageNames({ stages }: CheckedFile, collector: WarningCollector): void {
  const seen = new Set<string>();
  for (const { from } of stages) {
    const name = from.stageName;
    if (name === undefined) continue;
    const needle = { kind: 'argument', text: name } as const;
    if (RESERVED.has(name)) {
      collector.add('ReservedStageName', from, { message: messages.reservedStageName(name), needle });
    }
    if (seen.has(name)) {
      collector.add('DuplicateStageName', from, { message: messages.duplicateStageName(name), needle });
    }
    seen.add(name);
  }
}

/** One casing for all keywords: that of the majority, upper case when in balance. */
export function checkInstructionCasing({ stages }: CheckedFile, collector: WarningCollector): void {
  const counted = stages.flatMap(({ from, instructions }) => [from, ...instructions]);
  const keywords = counted.map(writtenKeyword);
  const lower =
    keywords.filter(isLower).length > keywords.filter((word) => !isLower(word) && isUpper(word)).length;
  const casing = lower ? 'lowercase' : 'uppercase';
  for (const instruction of counted) {
    const keyword = writtenKeyword(instruction);
    if (lower ? isLower(keyword) : isUpper(keyword)) continue;
    const message = messages.consistentInstructionCasing(keyword, casing);
    collector.add('ConsistentInstructionCasing', instruction, { message, needle: { kind: 'keyword' } });
  }
}
