/** Which checks run: `# check=skip=…;error=true;experimental=…`. Follows BuildKit's linter.ParseLintOptions. */
import { BuildError } from '../../errors.ts';
import { cut, parseBool, quote, trimSpace } from '../text.ts';
import type { Rule } from './rules.ts';

/** A choice of rules: all of them, or some by name. */
type RuleChoice = 'all' | ReadonlySet<string>;

export interface CheckOptions {
  /** Rules that stay silent; experimental ones are not concerned. */
  readonly skip: RuleChoice;
  /** Experimental rules that run. */
  readonly experimental: RuleChoice;
  /** True when any warning makes the build fail. */
  readonly error: boolean;
}

/** What holds without a directive: every rule but the experimental ones, as warnings. */
export const DEFAULT_CHECK_OPTIONS: CheckOptions = {
  skip: new Set(),
  experimental: new Set(),
  error: false,
};

function refuse(message: string): BuildError {
  return new BuildError('DOCKERFILE_CHECK_OPTION', message, {
    suggestions: [
      'Write skip=RULE,RULE or skip=all, experimental=RULE or experimental=all, error=true; join with ;',
    ],
  });
}

function toChoice(value: string): RuleChoice {
  return value === 'all' ? 'all' : new Set(value.split(',').map(trimSpace));
}

/** At most three parts; the third keeps any further semicolon, as BuildKit splits it. */
function splitParts(text: string): string[] {
  const [first, afterFirst] = cut(text, ';');
  const [second, afterSecond] = cut(afterFirst ?? '', ';');
  return [first, afterFirst === undefined ? undefined : second, afterSecond].filter(
    (part) => part !== undefined,
  );
}

/**
 * Reads the value of a `# check=` directive, or of the build argument BUILDKIT_DOCKERFILE_CHECK, which replaces it.
 * Throws DOCKERFILE_CHECK_OPTION for a part that is none.
 */
export function parseCheckOptions(text: string): CheckOptions {
  let options = DEFAULT_CHECK_OPTIONS;
  const trimmed = trimSpace(text);
  if (trimmed === '') return options;
  for (const part of splitParts(trimmed)) {
    const [name, given] = cut(part, '=');
    if (given === undefined) throw refuse(`invalid check option ${quote(part)}`);
    const key = trimSpace(name);
    const value = trimSpace(given);
    if (key === 'skip') options = { ...options, skip: toChoice(value) };
    else if (key === 'experimental') options = { ...options, experimental: toChoice(value) };
    else if (key === 'error') {
      const error = parseBool(value);
      if (error === undefined) throw refuse(`failed to parse check option ${quote(part)}`);
      options = { ...options, error };
    } else throw refuse(`invalid check option ${quote(key)}`);
  }
  return options;
}

function isChosen(choice: RuleChoice, name: string): boolean {
  return choice === 'all' || choice.has(name);
}

/** Whether a rule runs under any of the given options: those of the file, and of a comment above the instruction. */
export function isRuleOn(rule: Rule, options: readonly CheckOptions[]): boolean {
  if (rule.experimental) return options.some(({ experimental }) => isChosen(experimental, rule.name));
  return !options.some(({ skip }) => isChosen(skip, rule.name));
}
