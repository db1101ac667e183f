import { describe, expect, it } from 'vitest';
import { WarningCollector } from '../../src/dockerfile/checks/collector.ts';
import { checkBaseImagePlatform } from '../../src/dockerfile/checks/from-checks.ts';
import { DEFAULT_CHECK_OPTIONS, parseCheckOptions } from '../../src/dockerfile/checks/options.ts';
import { type CheckKnowledge, runChecks } from '../../src/dockerfile/checks/run-checks.ts';
import { IgnoreMatcher } from '../../src/dockerfile/ignore.ts';
import { parseText } from './read.ts';

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

describe('checks of the text', () => {
  it.each([
    [
      'StageNameCasing',
      'FROM scratch AS BadName',
      ["1 StageNameCasing: Stage name 'BadName' should be lowercase"],
    ],
    ['FromAsCasing', 'FROM scratch as b', ["1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match"]],
    ['FromAsCasing', 'from scratch AS b', ["1 FromAsCasing: 'AS' and 'from' keywords' casing do not match"]],
    ['FromAsCasing', 'FROM scratch As b', ["1 FromAsCasing: 'As' and 'FROM' keywords' casing do not match"]],
    [
      'with flags',
      'FROM --platform=$BUILDPLATFORM scratch as b',
      ["1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match"],
    ],
    [
      'an odd FROM is told of once',
      'From scratch as base\nFROM scratch AS base2',
      [
        "1 ConsistentInstructionCasing: Command 'From' should match the case of the command majority (uppercase)",
      ],
    ],
    [
      'NoEmptyContinuation',
      'FROM scratch\nCOPY a \\\n\n.\n',
      ['4 NoEmptyContinuation: Empty continuation line'],
    ],
    [
      'ConsistentInstructionCasing',
      'FROM scratch\ncopy a /b\nCOPY a /c\nCopy a /d',
      [
        "2 ConsistentInstructionCasing: Command 'copy' should match the case of the command majority (uppercase)",
        "4 ConsistentInstructionCasing: Command 'Copy' should match the case of the command majority (uppercase)",
      ],
    ],
    [
      'ConsistentInstructionCasing, lower majority',
      'from scratch\nCOPY a /b\ncopy a /c',
      [
        "2 ConsistentInstructionCasing: Command 'COPY' should match the case of the command majority (lowercase)",
      ],
    ],
    ['global ARGs do not count for the casing', 'arg a\narg b\nFROM scratch', []],
    [
      'frOM',
      'frOM scratch\nfrom scratch',
      [
        "1 ConsistentInstructionCasing: Command 'frOM' should match the case of the command majority (lowercase)",
      ],
    ],
    [
      'DuplicateStageName',
      'FROM scratch AS a\nFROM scratch AS b\nFROM scratch AS a',
      ['3 DuplicateStageName: Duplicate stage name "a", stage names should be unique'],
    ],
    [
      'ReservedStageName',
      'FROM scratch AS scratch\nFROM scratch AS context',
      [
        '1 ReservedStageName: Stage name should not use the same name as reserved stage "scratch"',
        '2 ReservedStageName: Stage name should not use the same name as reserved stage "context"',
      ],
    ],
    [
      'MaintainerDeprecated',
      'FROM scratch\nMAINTAINER me',
      ['2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label'],
    ],
  ])('%s', (_, text, expected) => {
    expect(check(text)).toEqual(expected);
  });

  const described = { ...KNOWN, options: parseCheckOptions('experimental=InvalidDefinitionDescription') };

  it.each([
    [
      '# about it\nFROM scratch AS base',
      ['2 InvalidDefinitionDescription: Comment for FROM should follow the format: `# base <description>`'],
    ],
    [
      '# about it\nARG version=1\nFROM scratch',
      ['2 InvalidDefinitionDescription: Comment for ARG should follow the format: `# version <description>`'],
    ],
    [
      '# about it\nARG a b\nFROM scratch',
      [
        '2 InvalidDefinitionDescription: Comment for ARG should follow the format: `# <arg_key> <description>`',
      ],
    ],
    ['# base is a stage\nFROM scratch AS base\n# version of it\nARG version', []],
    ['# first\n# b too\nARG a b\nFROM scratch', []],
    ['# about it\n\nFROM scratch AS base\n# x\n#\nARG b', []],
    ['# about it\nFROM scratch', []],
  ])('InvalidDefinitionDescription in %j', (text, expected) => {
    expect(check(text, described)).toEqual(expected);
    expect(check(text)).toEqual([]);
  });
});

describe('checks of FROM', () => {
  it.each([
    [
      'FROM busybox:$VERSION',
      [
        '1 InvalidDefaultArgInFrom: Default value for ARG busybox:$VERSION results in empty or invalid base image name',
        "1 UndefinedArgInFrom: FROM argument 'VERSION' is not declared",
      ],
    ],
    ['ARG VERSION\nFROM busybox:${VERSION:-1}', []],
    [
      'ARG VERSION=1\nFROM busybox:$VERSOIN',
      [
        expect.stringMatching(/^2 InvalidDefault/),
        "2 UndefinedArgInFrom: FROM argument 'VERSOIN' is not declared (did you mean VERSION?)",
      ],
    ],
    [
      'FROM --platform=$BULIDPLATFORM busybox',
      ["1 UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?)"],
    ],
    [
      'ARG TAG\nFROM busybox:$TAG',
      [
        '2 InvalidDefaultArgInFrom: Default value for ARG busybox:$TAG results in empty or invalid base image name',
      ],
    ],
    ['ARG TAG=1\nARG IMAGE=busybox:$TAG\nFROM $IMAGE', []],
    [
      'ARG IMAGE\nFROM $IMAGE',
      ['2 InvalidDefaultArgInFrom: Default value for ARG $IMAGE results in empty or invalid base image name'],
    ],
    ['FROM busybox-$TARGETARCH', []],
    ['FROM Busybox', [expect.stringMatching(/^1 InvalidDefault/)]],
    ['FROM localhost:5000/a/b:1@sha256:0123456789abcdef0123456789abcdef', []],
    ['FROM Registry.IO/a__b', []],
    [
      'FROM --platform=linux/amd64 busybox',
      ['1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "linux/amd64"'],
    ],
    ['FROM --platform=linux/amd64 busybox AS build_amd64', []],
    ['FROM --platform=linux busybox AS linux', []],
    ['FROM --platform=a/b/c/d busybox', []],
    ['FROM --platform=$BUILDPLATFORM busybox', []],
    ['ARG P=linux/arm64\nFROM --platform=$P busybox', []],
    [
      'FROM --platform=$TARGETPLATFORM busybox',
      [
        '1 RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior',
      ],
    ],
    [
      'FROM --platform=${TARGETPLATFORM} busybox',
      [
        '1 RedundantTargetPlatform: Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior',
      ],
    ],
    ['FROM --platform=$TARGETOS/$TARGETARCH busybox', []],
    ['FROM --platform=${TARGETPLATFORM}/v7 busybox', []],
  ])('%j', (text, expected) => {
    expect(check(text)).toEqual(expected);
  });

  it('InvalidDefaultArgInFrom looks at defaults only, the rest at the arguments given', () => {
    const buildArgs = new Map([
      ['TAG', '2'],
      ['OTHER', '$x'],
    ]);
    expect(check('ARG TAG\nARG OTHER\nFROM busybox:$TAG', { ...KNOWN, buildArgs })).toEqual([
      expect.stringMatching(/^3 InvalidDefaultArgInFrom/),
    ]);
  });

  it('leaves a name that cannot be expanded to the plan', () => {
    expect(check('FROM ${x')).toEqual([]);
    expect(check('ARG a=${x\nFROM busybox')).toEqual([]);
  });

  it('InvalidBaseImagePlatform', () => {
    const from = parseText('FROM busybox').instructions[0];
    if (from?.keyword !== 'FROM') throw new Error('no FROM');
    const messagesOf = (expected: string, actual: string) => {
      const toPlatform = (text: string) => {
        const [os = '', architecture = '', variant] = text.split('/');
        return { os, architecture, variant };
      };
      const collector = new WarningCollector(DEFAULT_CHECK_OPTIONS);
      checkBaseImagePlatform(from, { expected: toPlatform(expected), actual: toPlatform(actual) }, collector);
      return collector.warnings().map(({ rule, message }) => `${rule}: ${message}`);
    };
    expect(messagesOf('linux/amd64', 'linux/amd64')).toEqual([]);
    expect(messagesOf('linux/arm/v7', 'linux/arm/v6')).toEqual([]);
    expect(messagesOf('linux/amd64', 'linux/arm64/v8')).toEqual([
      'InvalidBaseImagePlatform: Base image busybox was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
    ]);
    expect(messagesOf('linux/arm/v7', 'windows/arm/v7')).toEqual([
      'InvalidBaseImagePlatform: Base image busybox was pulled with platform "windows/arm/v7", expected "linux/arm/v7" for current build',
    ]);
  });
});

describe('checks of stages', () => {
  it.each([
    [
      'CMD a',
      [
        '2 JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals',
      ],
    ],
    [
      'ENTRYPOINT a',
      [
        '2 JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals',
      ],
    ],
    ['CMD ["a"]', []],
    ['SHELL ["bash"]\nCMD a', []],
    ['HEALTHCHECK CMD a', []],
    [
      'CMD ["a"]\nCMD ["b"]',
      [
        '2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used',
      ],
    ],
    [
      'ENTRYPOINT ["a"]\nENTRYPOINT ["b"]\nENTRYPOINT ["c"]',
      [expect.stringMatching(/^2 Multiple/), expect.stringMatching(/^3 Multiple/)],
    ],
    ['HEALTHCHECK NONE\nHEALTHCHECK CMD a', [expect.stringMatching(/^2 Multiple.*HEALTHCHECK/)]],
    ['CMD ["a"]\nFROM scratch\nCMD ["b"]', []],
    [
      'WORKDIR a',
      ['2 WorkdirRelativePath: Relative workdir "a" can have unexpected results if the base image changes'],
    ],
    ['WORKDIR a\nWORKDIR b', [expect.stringMatching(/^2 Workdir/)]],
    ['WORKDIR /a\nWORKDIR b', []],
    ['ENV A=/a\nWORKDIR $A', []],
    [
      'ENV a b',
      ['2 LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format'],
    ],
    [
      'LABEL a b',
      ['2 LegacyKeyValueFormat: "LABEL key=value" should be used instead of legacy "LABEL key value" format'],
    ],
    ['ENV a=b', []],
    [
      'ARG API_KEY',
      ['2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "API_KEY")'],
    ],
    [
      'ENV TOKEN=a secret_x=b',
      [expect.stringContaining('(ENV "TOKEN")'), expect.stringContaining('(ENV "secret_x")')],
    ],
    ['ENV MONKEY=a KEY_FILE=b PUBLIC_KEY=c TOKEN_VERSION=d TOKENS=e', []],
    ['ARG GIT_CREDENTIALS AUTH password', [expect.anything(), expect.anything(), expect.anything()]],
    [
      'EXPOSE 80/TcP',
      ["2 ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase"],
    ],
    [
      'EXPOSE 127.0.0.1:80:80',
      [
        "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
      ],
    ],
    [
      'EXPOSE 80:80/UDP',
      [expect.stringMatching(/^2 ExposeProto/), expect.stringMatching(/^2 ExposeInvalid/)],
    ],
    ['EXPOSE 80 443/tcp :80', []],
    [
      'ARG P=80/TCP\nEXPOSE $P',
      ["3 ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase"],
    ],
  ])('%j', (text, expected) => {
    expect(check(`FROM busybox\n${text}`)).toEqual(expected);
  });

  it.each([
    ['COPY $foo .', ["2 UndefinedVar: Usage of undefined variable '$foo'"]],
    ['ARG foo\nCOPY $foo .', []],
    ['ENV DIR=/a\nCOPY $DRI .', ["3 UndefinedVar: Usage of undefined variable '$DRI' (did you mean $DIR?)"]],
    ['ENV PATH=$PATH:/a L=$LANG', []],
    ['ENV A=$B B=1', ["2 UndefinedVar: Usage of undefined variable '$B'"]],
    ['ENV A=1\nENV B=$A', []],
    ['ENV A=$X$X', ["2 UndefinedVar: Usage of undefined variable '$X'"]],
    ['LABEL a=$X', [expect.stringMatching(/^2 UndefinedVar/)]],
    ['WORKDIR /$X', [expect.stringMatching(/^2 UndefinedVar/)]],
    ['USER $X', [expect.stringMatching(/^2 UndefinedVar/)]],
    ['VOLUME /$X', [expect.stringMatching(/^2 UndefinedVar/)]],
    ['STOPSIGNAL $X', [expect.stringMatching(/^2 UndefinedVar/)]],
    ['ARG A=$X', [expect.stringMatching(/^2 UndefinedVar/)]],
    ['COPY --chown=$X a b', [expect.stringMatching(/^2 UndefinedVar/)]],
    ['ADD --checksum=$X a b', [expect.stringMatching(/^2 UndefinedVar/)]],
    ['RUN --mount=type=cache,target=$X a', [expect.stringMatching(/^2 UndefinedVar/)]],
    [
      'COPY <<EOF /a\n$X "$Y"\nEOF',
      [
        "2 UndefinedVar: Usage of undefined variable '$X'",
        "2 UndefinedVar: Usage of undefined variable '$Y'",
      ],
    ],
    ["COPY <<'EOF' /a\n$X\nEOF", []],
    ['RUN echo $X\nCMD ["$X"]\nEXPOSE $X', []],
    ["ENV A='$X' B=\\$X", []],
    ['ENV A=${X:-d}', [expect.stringMatching(/^2 UndefinedVar/)]],
    ['COPY ${X a b', []],
  ])('UndefinedVar in %j', (text, expected) => {
    expect(check(`FROM busybox\n${text}`)).toEqual(expected);
  });

  it('UndefinedVar knows arguments that are given and global ones', () => {
    const text = 'ARG g=1\nFROM busybox\nARG g\nARG b\nCOPY $g$b x';
    expect(check(text)).toEqual([]);
    expect(check('FROM busybox\nARG TARGETARCH\nCOPY a-$TARGETARCH x')).toEqual([]);
    expect(check('ARG g=1\nFROM busybox\nCOPY $g x')).toEqual([
      "3 UndefinedVar: Usage of undefined variable '$g'",
    ]);
  });

  it('is silent on variables where the base image is unknown, but not on scratch', () => {
    expect(check('FROM busybox\nCOPY $X a\nWORKDIR $X', {})).toEqual([]);
    expect(check('FROM scratch\nCOPY $X a', {})).toEqual([
      "2 UndefinedVar: Usage of undefined variable '$X'",
    ]);
  });

  it('a stage goes on where its base stage ended', () => {
    const text =
      'FROM scratch AS a\nENV X=1\nARG y\nWORKDIR /w\nSHELL ["x"]\nFROM a\nCOPY $X$y z\nWORKDIR r\nCMD c';
    expect(check(text, {})).toEqual([]);
    expect(check('FROM scratch AS a\nENV X=1\nFROM scratch\nCOPY $X z', {})).toHaveLength(1);
    expect(check('ARG B=a\nFROM scratch AS a\nENV X=1\nFROM $B\nCOPY $X z', {})).toEqual([]);
  });

  it('looks only into the stages asked for', () => {
    const text = 'FROM scratch AS a\nCMD x\nENV Y=1\nFROM a\nENV Z=$Y$WWW';
    expect(check(text, { stages: new Set([1]) })).toEqual([
      "5 UndefinedVar: Usage of undefined variable '$WWW'",
    ]);
  });

  it('uses the shell of a base image', () => {
    const baseImage = () => ({ env: new Map<string, string>(), hasShell: true });
    expect(check('FROM busybox\nCMD a', { baseImage })).toEqual([]);
  });

  it.each([
    [
      ['Dockerfile'],
      'COPY Dockerfile .',
      ['2 CopyIgnoredFile: Attempting to Copy file "Dockerfile" that is excluded by .dockerignore'],
    ],
    [
      ['foo'],
      'ADD foo/bar .',
      ['2 CopyIgnoredFile: Attempting to Add file "foo/bar" that is excluded by .dockerignore'],
    ],
    [
      ['foo'],
      'COPY ./foo/ bar .',
      ['2 CopyIgnoredFile: Attempting to Copy file "foo" that is excluded by .dockerignore'],
    ],
    [['foo'], 'COPY /foo .', [expect.stringContaining('CopyIgnoredFile')]],
    [['foo', '!bar'], 'COPY foo .', []],
    [['foo'], 'COPY --from=x foo .', []],
    [['*'], 'ADD https://a/b git@github.com:a/b .', []],
    [[], 'COPY foo .', []],
  ])('CopyIgnoredFile with %j in %j', (patterns, text, expected) => {
    const ignore = new IgnoreMatcher(patterns);
    expect(check(`FROM busybox\n${text}`, { ...KNOWN, ignore })).toEqual(expected);
  });
});
