/** Warnings on their way out: rules that are off are dropped, the rest gathered. */
import { BuildError, type SourceLocation } from '../../errors.ts';
import { parseDirectiveText } from '../directives.ts';
import type { Needle } from '../needle.ts';
import { cut } from '../text.ts';
import { type CheckOptions, isRuleOn, parseCheckOptions } from './options.ts';
import { type Rule, type RuleName, ruleOf } from './rules.ts';

/** A violation of a build check. */
export interface Warning {
  readonly rule: RuleName;
  readonly description: string;
  readonly url: string;
  /** One sentence about this place. */
  readonly message: string;
  readonly location: SourceLocation;
  /** What within the instruction it is about; `pinpoint` turns it into columns. */
  readonly needle?: Needle;
}

/** Where a warning belongs: an instruction, or anything with a place. */
export interface WarningPlace {
  readonly location: SourceLocation;
  readonly comments?: readonly string[];
}

/** Options in a `# check=` comment right above an instruction; one that cannot be read counts for nothing. */
function commentOptions(comments: readonly string[]): CheckOptions[] {
  for (const comment of comments) {
    const directive = parseDirectiveText(comment);
    if (directive?.name !== 'check') continue;
    try {
      return [parseCheckOptions(cut(directive.value, ' ')[0])];
    } catch (error) {
      if (error instanceof BuildError) return [];
      throw error;
    }
  }
  return [];
}

function toWarning(rule: Rule, details: Pick<Warning, 'message' | 'location' | 'needle'>): Warning {
  return { rule: rule.name, description: rule.description, url: rule.url, ...details };
}

/** Takes the findings of the checks. */
export class WarningCollector {
  readonly #options: CheckOptions;
  readonly #warnings: Warning[] = [];

  constructor(options: CheckOptions) {
    this.#options = options;
  }

  /** A finding at `place`; dropped when its rule is off there. */
  add(
    name: RuleName,
    place: WarningPlace,
    finding: { readonly message: string; readonly needle?: Needle },
  ): void {
    const rule = ruleOf(name);
    if (!isRuleOn(rule, [this.#options, ...commentOptions(place.comments ?? [])])) return;
    this.#warnings.push(toWarning(rule, { location: place.location, ...finding }));
  }

  /** What was found, from top to bottom of the file. */
  warnings(): Warning[] {
    return this.#warnings.toSorted((one, other) => one.location.startLine - other.location.startLine);
  }
}

/** With `error=true`, the failure that warnings make: DOCKERFILE_CHECK at the first of them. */
export function checkFailure(warnings: readonly Warning[], options: CheckOptions): BuildError | undefined {
  const [first] = warnings;
  if (first === undefined || !options.error) return undefined;
  const rules = [...new Set(warnings.map(({ rule }) => rule))].sort();
  return new BuildError('DOCKERFILE_CHECK', `lint violation found for rules: ${rules.join(', ')}`, {
    suggestions: ['Correct the warnings, or skip a rule with # check=skip=RULE;error=true.'],
    location: first.location,
  });
}
