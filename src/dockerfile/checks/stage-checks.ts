/** Checks on what a stage does, with the variables each instruction sees. Follows BuildKit's dockerfile2llb. */
import { BuildError } from '../../errors.ts';
import { splitCsv } from '../csv.ts';
import { type ExpandOptions, expandWord, expandWords } from '../expand.ts';
import { cleanPath, type IgnoreMatcher } from '../ignore.ts';
import type {
  AddInstruction,
  ArgInstruction,
  CmdInstruction,
  CopyInstruction,
  EntrypointInstruction,
  EnvInstruction,
  ExposeInstruction,
  HealthcheckInstruction,
  Instruction,
  LabelInstruction,
} from '../instruction.ts';
import { looksSecret } from '../secret-names.ts';
import { nearestWord } from '../suggest.ts';
import { cut } from '../text.ts';
import type { Escape } from '../words.ts';
import type { WarningCollector } from './collector.ts';
import { messages, type RuleName } from './rules.ts';
import { type CheckedStage, writtenKeyword } from './stages.ts';

/** What a stage hands to the stages that begin with it. */
export interface StageEnd {
  readonly variables: ReadonlyMap<string, string>;
  /** False when the base image's variables are unknown: then no variable is called undefined. */
  readonly isComplete: boolean;
  readonly declared: ReadonlySet<string>;
  readonly hasWorkdir: boolean;
  readonly hasShell: boolean;
}

/** What all stages are checked with. */
export interface StageScope {
  readonly escape: Escape;
  readonly globals: ReadonlyMap<string, string>;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly ignore?: IgnoreMatcher | undefined;
  readonly collector: WarningCollector;
}

/** Values of a `--mount`, which are expanded one by one. */
function mountValues(mount: string): string[] {
  try {
    return splitCsv(mount).flatMap((field) => cut(field, '=')[1] ?? []);
  } catch {
    return [];
  }
}

function transferWords(instruction: CopyInstruction | AddInstruction): string[] {
  const { sources, destination, chown, chmod } = instruction;
  const checksum = instruction.keyword === 'ADD' ? instruction.checksum : undefined;
  return [...sources, destination, chown, chmod, checksum].filter((word) => word !== undefined);
}

/** The words of an instruction in which variables are replaced; ARG and EXPOSE have ways of their own. */
function expandedWords(instruction: Instruction): readonly string[] {
  switch (instruction.keyword) {
    case 'ENV':
    case 'LABEL':
      return instruction.pairs.flatMap(({ key, value }) => [key, value]);
    case 'COPY':
    case 'ADD':
      return transferWords(instruction);
    case 'RUN':
      return instruction.mounts.flatMap(mountValues);
    case 'WORKDIR':
      return [instruction.path];
    case 'USER':
      return [instruction.user];
    case 'STOPSIGNAL':
      return [instruction.signal];
    case 'VOLUME':
      return instruction.paths;
    default:
      return [];
  }
}

/** What expansion gave; an error there is the plan's to report, so it counts as the word itself. */
interface Reading {
  readonly text: string;
  readonly unset: ReadonlySet<string>;
}

class StageWalk {
  readonly #scope: StageScope;
  readonly #variables: Map<string, string>;
  readonly #declared: Set<string>;
  readonly #isComplete: boolean;
  readonly #last = new Map<string, Instruction>();
  #hasWorkdir: boolean;
  #hasShell: boolean;

  constructor(base: StageEnd, scope: StageScope) {
    this.#scope = scope;
    this.#variables = new Map(base.variables);
    this.#declared = new Set(base.declared);
    this.#isComplete = base.isComplete;
    this.#hasWorkdir = base.hasWorkdir;
    this.#hasShell = base.hasShell;
  }

  get end(): StageEnd {
    return {
      variables: this.#variables,
      isComplete: this.#isComplete,
      declared: this.#declared,
      hasWorkdir: this.#hasWorkdir,
      hasShell: this.#hasShell,
    };
  }

  visit(instruction: Instruction): void {
    this.#checkVariables(instruction);
    const { keyword } = instruction;
    if (keyword === 'ARG') this.#visitArg(instruction);
    else if (keyword === 'ENV') this.#visitEnv(instruction);
    else if (keyword === 'LABEL') this.#checkForm(instruction);
    else if (keyword === 'WORKDIR') this.#visitWorkdir(instruction, instruction.path);
    else if (keyword === 'SHELL') this.#hasShell = true;
    else if (keyword === 'EXPOSE') this.#checkPorts(instruction);
    else if (keyword === 'COPY' || keyword === 'ADD') this.#checkSources(instruction);
    else if (keyword === 'CMD' || keyword === 'ENTRYPOINT' || keyword === 'HEALTHCHECK') {
      this.#visitCommand(instruction);
    }
  }

  #report(rule: RuleName, instruction: Instruction, message: string): void {
    this.#scope.collector.add(rule, instruction, { message, needle: { kind: 'keyword' } });
  }

  #expand(word: string, options: Partial<ExpandOptions> = {}): Reading {
    try {
      return expandWord(word, this.#variables, { escape: this.#scope.escape, ...options });
    } catch (error) {
      if (error instanceof BuildError) return { text: word, unset: new Set() };
      throw error;
    }
  }

  /** Uses of variables that nothing has set or declared. */
  #checkVariables(instruction: Instruction): void {
    if (!this.#isComplete) return;
    const unset = new Set(expandedWords(instruction).flatMap((word) => [...this.#expand(word).unset]));
    if (instruction.keyword === 'COPY' || instruction.keyword === 'ADD') {
      for (const { content, expand } of instruction.heredocs) {
        if (!expand) continue;
        for (const name of this.#expand(content, { escape: '\\', keepQuotes: true }).unset) unset.add(name);
      }
    }
    this.#reportUnset(unset, instruction);
  }

  #reportUnset(names: Iterable<string>, instruction: Instruction): void {
    if (!this.#isComplete) return;
    for (const name of names) {
      if (this.#declared.has(name)) continue;
      const message = messages.undefinedVar(name, nearestWord(name, this.#variables.keys()));
      this.#scope.collector.add('UndefinedVar', instruction, { message, needle: { kind: 'variable', name } });
    }
  }

  #visitArg(instruction: ArgInstruction): void {
    const { buildArgs, globals } = this.#scope;
    for (const { name, value } of instruction.args) {
      this.#checkSecret('ARG', name, instruction);
      const given = buildArgs.get(name);
      if (given !== undefined) this.#variables.set(name, given);
      else if (value !== undefined) {
        const reading = this.#expand(value);
        this.#reportUnset(reading.unset, instruction);
        this.#variables.set(name, reading.text);
      } else {
        const inherited = globals.get(name);
        if (inherited !== undefined) this.#variables.set(name, inherited);
      }
      this.#declared.add(name);
    }
  }

  #visitEnv(instruction: EnvInstruction): void {
    this.#checkForm(instruction);
    // All of one instruction sees the values before it.
    const pairs = instruction.pairs.map(
      ({ key, value }) => [this.#expand(key).text, this.#expand(value).text] as const,
    );
    for (const [key, value] of pairs) {
      this.#checkSecret('ENV', key, instruction);
      this.#variables.set(key, value);
    }
  }

  #checkForm(instruction: EnvInstruction | LabelInstruction): void {
    if (instruction.legacyForm !== true) return;
    this.#report(
      'LegacyKeyValueFormat',
      instruction,
      messages.legacyKeyValueFormat(writtenKeyword(instruction)),
    );
  }

  #checkSecret(keyword: 'ARG' | 'ENV', name: string, instruction: Instruction): void {
    if (!looksSecret(name)) return;
    this.#report('SecretsUsedInArgOrEnv', instruction, messages.secretsUsedInArgOrEnv(keyword, name));
  }

  #visitWorkdir(instruction: Instruction, path: string): void {
    const reading = this.#expand(path);
    const known = this.#isComplete || reading.unset.size === 0;
    if (!this.#hasWorkdir && known && !reading.text.startsWith('/')) {
      this.#report('WorkdirRelativePath', instruction, messages.workdirRelativePath(reading.text));
    }
    this.#hasWorkdir = true;
  }

  #visitCommand(instruction: CmdInstruction | EntrypointInstruction | HealthcheckInstruction): void {
    const keyword = writtenKeyword(instruction);
    const earlier = this.#last.get(instruction.keyword);
    this.#last.set(instruction.keyword, instruction);
    // Told at the earlier one: it is the one without effect.
    if (earlier !== undefined) {
      this.#report(
        'MultipleInstructionsDisallowed',
        earlier,
        messages.multipleInstructionsDisallowed(keyword),
      );
    }
    const forShell = instruction.keyword !== 'HEALTHCHECK' && instruction.command.form === 'shell';
    if (forShell && !this.#hasShell) {
      this.#report('JSONArgsRecommended', instruction, messages.jsonArgsRecommended(keyword));
    }
  }

  #checkPorts(instruction: ExposeInstruction): void {
    for (const word of instruction.ports) {
      for (const port of this.#portsOf(word)) {
        const needle = { kind: 'argument', text: word } as const;
        const { collector } = this.#scope;
        const parts = port.split(':');
        const protocol = cut(parts.at(-1) ?? '', '/')[1] ?? '';
        if (protocol !== protocol.toLowerCase()) {
          collector.add('ExposeProtoCasing', instruction, {
            message: messages.exposeProtoCasing(port),
            needle,
          });
        }
        if (parts.slice(0, -1).some((part) => part !== '')) {
          collector.add('ExposeInvalidFormat', instruction, {
            message: messages.exposeInvalidFormat(port),
            needle,
          });
        }
      }
    }
  }

  #portsOf(word: string): readonly string[] {
    try {
      return expandWords(word, this.#variables, { escape: this.#scope.escape }).words;
    } catch (error) {
      if (error instanceof BuildError) return [];
      throw error;
    }
  }

  /** Sources that the ignore file hides. With exceptions in it the answer would need the files themselves. */
  #checkSources(instruction: CopyInstruction | AddInstruction): void {
    const { ignore, collector } = this.#scope;
    if (ignore === undefined || ignore.isEmpty || ignore.hasExceptions) return;
    if (instruction.keyword === 'COPY' && instruction.from !== undefined) return;
    for (const source of instruction.sources) {
      const { text, unset } = this.#expand(source);
      if (unset.size > 0 || (instruction.keyword === 'ADD' && isRemote(text))) continue;
      const path = cleanPath(text);
      if (!ignore.excludes(path.replace(/^\//, ''))) continue;
      const message = messages.copyIgnoredFile(instruction.keyword === 'COPY' ? 'Copy' : 'Add', path);
      collector.add('CopyIgnoredFile', instruction, { message, needle: { kind: 'argument', text: source } });
    }
  }
}

/** A URL or a git address, which ADD fetches. */
function isRemote(source: string): boolean {
  return /^(?:https?|git|ssh):\/\/|^git@|^github\.com\//.test(source);
}

/** Checks one stage from what its base leaves; returns what it leaves to others. */
export function checkStage(stage: CheckedStage, base: StageEnd, scope: StageScope): StageEnd {
  const walk = new StageWalk(base, scope);
  for (const instruction of stage.instructions) walk.visit(instruction);
  return walk.end;
}
