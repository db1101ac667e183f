import { describe, expect, it } from 'vitest';
import { checkFailure } from '../../src/dockerfile/checks/collector.ts';
import { DEFAULT_CHECK_OPTIONS, parseCheckOptions } from '../../src/dockerfile/checks/options.ts';
import { allRules, ruleOf } from '../../src/dockerfile/checks/rules.ts';
import {
  type CheckKnowledge,
  checkOptionsOf,
  pinpointWarnings,
  runChecks,
} from '../../src/dockerfile/checks/run-checks.ts';
import { errorOf, linesOf, parseText } from './read.ts';

const KNOWN: CheckKnowledge = {
  baseImage: () => ({
    env: new Map([
      ['PATH', '/bin'],
      ['LANG', 'C'],
    ]),
    hasShell: false,
  }),
};

/** Warnings as `line rule: message`. */
function check(text: string, knowledge: CheckKnowledge = KNOWN): string[] {
  return runChecks(parseText(text), knowledge).map(
    ({ rule, message, location }) => `${location.startLine} ${rule}: ${message}`,
  );
}

describe('options', () => {
  it.each([
    ['', {}],
    ['skip=all', { skip: 'all' }],
    ['skip=A, B', { skip: new Set(['A', 'B']) }],
    [' skip = A ; error = true ', { skip: new Set(['A']), error: true }],
    ['error=0;experimental=all;skip=A', { skip: new Set(['A']), experimental: 'all' }],
    ['experimental=A,B', { experimental: new Set(['A', 'B']) }],
  ])('%j', (text, expected) => {
    expect(parseCheckOptions(text)).toEqual({ ...DEFAULT_CHECK_OPTIONS, ...expected });
  });

  it.each([
    ['skip', 'invalid check option "skip"'],
    ['foo=1', 'invalid check option "foo"'],
    ['error=maybe', 'failed to parse check option "error=maybe"'],
    ['skip=A;;error=true', 'invalid check option ""'],
  ])('%j is refused', (text, message) => {
    expect(errorOf(() => parseCheckOptions(text))).toMatchObject({
      code: 'DOCKERFILE_CHECK_OPTION',
      message,
    });
  });

  it('refuses a wrong directive at its line', () => {
    const error = errorOf(() => runChecks(parseText('# syntax=x\n# check=foo\nFROM a')));
    expect(linesOf(error)).toBe('2-2');
  });

  const text = 'FROM a as b\nMAINTAINER m';

  it('skips what the file says', () => {
    expect(check(text)).toHaveLength(2);
    expect(check(`# check=skip=FromAsCasing\n${text}`)).toEqual([expect.stringContaining('Maintainer')]);
    expect(check(`# check=skip=all\n${text}`)).toEqual([]);
    expect(check(`# check=skip=all\n${text}`, { ...KNOWN, options: DEFAULT_CHECK_OPTIONS })).toHaveLength(2);
  });

  it('skips what a comment right above says, for that instruction', () => {
    expect(check('FROM a\n# check=skip=MaintainerDeprecated\nMAINTAINER m')).toEqual([]);
    expect(check('FROM a\n# check=skip=MaintainerDeprecated\n\nMAINTAINER m')).toHaveLength(1);
    expect(check('FROM a\n# check=nonsense\nMAINTAINER m')).toHaveLength(1);
    expect(check('FROM a\n# check=skip=MaintainerDeprecated for now\nMAINTAINER m')).toEqual([]);
  });

  it('does not skip experimental rules with skip=all', () => {
    const options = parseCheckOptions('skip=all;experimental=all');
    expect(check('# x\nFROM a as b', { ...KNOWN, options })).toEqual([
      expect.stringContaining('InvalidDefinition'),
    ]);
  });

  it('fails with error=true', () => {
    const file = parseText(`# check=error=true\n${text}`);
    const options = checkOptionsOf(file);
    const error = checkFailure(runChecks(file), options);
    expect(error).toMatchObject({
      code: 'DOCKERFILE_CHECK',
      message: 'lint violation found for rules: FromAsCasing, MaintainerDeprecated',
      location: { startLine: 2 },
    });
    expect(checkFailure([], options)).toBeUndefined();
    expect(checkFailure(runChecks(file), DEFAULT_CHECK_OPTIONS)).toBeUndefined();
  });
});

describe('rules', () => {
  it('are all there', () => {
    expect(allRules()).toHaveLength(22);
    expect(
      allRules()
        .filter(({ experimental }) => experimental)
        .map(({ name }) => name),
    ).toEqual(['InvalidDefinitionDescription']);
  });

  it.each([
    ['StageNameCasing', 'stage-name-casing'],
    ['JSONArgsRecommended', 'json-args-recommended'],
    ['FromPlatformFlagConstDisallowed', 'from-platform-flag-const-disallowed'],
    ['SecretsUsedInArgOrEnv', 'secrets-used-in-arg-or-env'],
    ['UndefinedVar', 'undefined-var'],
  ] as const)('%s has the page %s', (name, page) => {
    expect(ruleOf(name).url).toBe(`https://docs.docker.com/go/dockerfile/rule/${page}/`);
  });
});

describe('columns of warnings', () => {
  it('are those of what they are about', async () => {
    const file = parseText('FROM busybox AS Base\nCOPY a \\\n  $foo .\nEXPOSE 1 2/TCP');
    const warnings = await pinpointWarnings(runChecks(file, KNOWN));
    const shown = warnings.map(
      ({ rule, location: { source, startLine, startColumn = 0, endColumn = 0 } }) => [
        rule,
        (source.text.split('\n')[startLine - 1] ?? '').slice(startColumn - 1, endColumn - 1),
      ],
    );
    expect(shown).toEqual([
      ['StageNameCasing', 'Base'],
      ['UndefinedVar', '$foo'],
      ['ExposeProtoCasing', '2/TCP'],
    ]);
  });

  it('stay lines where there is nothing to point at', async () => {
    const file = parseText('FROM scratch\nCOPY a \\\n\n.\n');
    const [warning] = await pinpointWarnings(runChecks(file));
    expect(warning?.location).not.toHaveProperty('startColumn');
  });
});
