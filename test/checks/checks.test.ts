import { describe, expect, test } from 'vitest';
import { busyboxBase } from '../helpers/bases.ts';
import { Workspace } from '../helpers/workspace.ts';

const BAD = `FROM $BASE AS Builder
ENV DB_PASSWORD=x
COPY $UNSET /f
CMD echo hi
FROM scratch AS unused
MAINTAINER me
FROM builder
`;

function bad(directive = ''): string {
  return `${directive}${BAD}`.replaceAll('$BASE', busyboxBase());
}

/** Rules named in a report or a log, in order. */
function rulesIn(text: string): string[] {
  return [...text.matchAll(/WARNING: ([A-Z]\w+)[: ]/g)].map(([, rule = '']) => rule);
}

describe('checks at the end of a build', () => {
  test('warn with rule, line and page, about stages that are built', async () => {
    const work = new Workspace();
    const { stderr, exitCode } = await work.tryBuild(bad().replace('$UNSET', '$UNSET .'));
    expect(exitCode, stderr).toBe(0);
    expect(rulesIn(stderr).sort()).toEqual([
      'JSONArgsRecommended',
      'MaintainerDeprecated',
      'SecretsUsedInArgOrEnv',
      'StageNameCasing',
      'UndefinedVar',
    ]);
    expect(stderr).toMatch(/UndefinedVar: Usage of undefined variable '\$UNSET' \(line 3\) https:\/\//);
  });

  test('warn once for a build that goes into the namespace', async () => {
    const work = new Workspace();
    const { stderr } = await work.tryBuild(`FROM ${busyboxBase()}\nRUN true\nCMD echo hi\n`);
    expect(rulesIn(stderr)).toEqual(['JSONArgsRecommended']);
  });

  test('as JSON events', async () => {
    const work = new Workspace();
    const { stderr } = await work.kiln(['build', '--progress=json', '-'], {
      input: 'FROM scratch\nMAINTAINER me\n',
    });
    const events = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; rule?: string });
    expect(events.find(({ type }) => type === 'warning')).toMatchObject({
      rule: 'MaintainerDeprecated',
      line: 2,
      message: 'Maintainer instruction is deprecated in favor of using label',
      url: 'https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/',
    });
  });

  test('# check=error=true ends the build before it begins; skip leaves rules out', async () => {
    const work = new Workspace();
    const failed = await work.tryBuild(bad('# check=error=true\n'));
    expect(failed.exitCode).toBe(2);
    expect(failed.stderr).toContain('lint violation found for rules: ');
    expect(failed.stderr).toContain('[DOCKERFILE_CHECK]');
    expect(failed.stderr).not.toContain('COPY_SOURCE_NOT_FOUND');
    const skipped = await work.tryBuild('# check=skip=all;error=true\nFROM scratch\nMAINTAINER me\n');
    expect(skipped.exitCode, skipped.stderr).toBe(0);
    expect(rulesIn(skipped.stderr)).toEqual([]);
  });

  test('BUILDKIT_DOCKERFILE_CHECK replaces the directive', async () => {
    const work = new Workspace();
    const dockerfile = '# check=skip=all\nFROM scratch\nMAINTAINER me\n';
    const buildArgs = { BUILDKIT_DOCKERFILE_CHECK: 'error=true' };
    const { exitCode, stderr } = await work.tryBuild(dockerfile, { buildArgs });
    expect(exitCode).toBe(2);
    expect(stderr).toContain('rules: MaintainerDeprecated');
    const silent = await work.tryBuild('# check=error=true\nFROM scratch\nMAINTAINER me\n', {
      buildArgs: { BUILDKIT_DOCKERFILE_CHECK: 'skip=MaintainerDeprecated' },
    });
    expect(silent.exitCode, silent.stderr).toBe(0);
    expect(silent.stderr).not.toContain('not consumed');
  });

  test('build arguments that no ARG takes are named', async () => {
    const work = new Workspace();
    const { stderr } = await work.tryBuild('ARG A\nFROM scratch AS x\nARG B\nFROM scratch\n', {
      buildArgs: {
        A: '1',
        B: '1',
        Z: '1',
        C: '1',
        HTTP_PROXY: 'p',
        TARGETARCH: 'amd64',
        SOURCE_DATE_EPOCH: '1',
      },
    });
    expect(stderr).toContain('WARNING: One or more build-args [C Z] were not consumed');
  });

  test('a frontend of docker’s own is taken as read, another is warned about, neither is fetched', async () => {
    const work = new Workspace();
    for (const name of [
      'docker/dockerfile:1',
      'docker.io/docker/dockerfile:1.7-labs',
      'docker/dockerfile-upstream',
    ]) {
      const { stderr } = await work.tryBuild(`# syntax=${name}\nFROM scratch\n`);
      expect(stderr).not.toContain('WARNING');
    }
    const { stderr } = await work.tryBuild('# syntax=example.com/my/frontend:1\nFROM scratch\n');
    expect(stderr).toContain('WARNING: the frontend example.com/my/frontend:1 is not used');
  });
});

describe('kiln lint and kiln build --check', () => {
  test('report all stages in docker’s form, and exit with 1', async () => {
    const work = new Workspace();
    work.write('Dockerfile', bad());
    const lint = await work.kiln(['lint']);
    expect(lint.exitCode).toBe(1);
    expect(lint.stdout).toMatch(
      /^Check complete, 5 warnings have been found!\n\nWARNING: JSONArgsRecommended - https/,
    );
    expect(rulesIn(lint.stdout)).toEqual([
      'JSONArgsRecommended',
      'MaintainerDeprecated',
      'SecretsUsedInArgOrEnv',
      'StageNameCasing',
      'UndefinedVar',
    ]);
    expect(lint.stdout).toContain('>>> COPY $UNSET /f');
    const check = await work.kiln(['build', '--check', '.']);
    expect(check).toMatchObject({ exitCode: 1, stdout: lint.stdout });
  });

  test('a clean file exits with 0, a wrong one with 2', async () => {
    const work = new Workspace();
    work.write('Dockerfile', 'FROM scratch\nCMD ["x"]\n');
    expect(await work.kiln(['lint', '.'])).toMatchObject({
      exitCode: 0,
      stdout: 'Check complete, no warnings found.\n',
    });
    const wrong = await work.kiln(['lint', '-'], { input: 'FRM scratch\n' });
    expect(wrong.exitCode).toBe(2);
    expect(wrong.stderr).toContain('FROM');
  });

  test('json and sarif', async () => {
    const work = new Workspace();
    work.write('Dockerfile', 'FROM scratch\nMAINTAINER me\n');
    const json = JSON.parse((await work.kiln(['lint', '--format', 'json'])).stdout) as Record<
      string,
      unknown
    >;
    expect(json).toMatchObject({
      warnings: [
        {
          ruleName: 'MaintainerDeprecated',
          detail: 'Maintainer instruction is deprecated in favor of using label',
          location: { ranges: [{ start: { line: 2 }, end: { line: 2 } }] },
        },
      ],
      sources: [
        { fileName: 'Dockerfile', data: Buffer.from('FROM scratch\nMAINTAINER me\n').toString('base64') },
      ],
    });
    const sarif = JSON.parse((await work.kiln(['lint', '--format', 'sarif'])).stdout) as Record<
      string,
      unknown
    >;
    expect(sarif).toMatchObject({
      version: '2.1.0',
      runs: [
        {
          tool: { driver: { name: 'kiln', rules: [{ id: 'MaintainerDeprecated' }] } },
          results: [
            {
              ruleId: 'MaintainerDeprecated',
              locations: [
                {
                  physicalLocation: {
                    artifactLocation: { uri: 'Dockerfile' },
                    region: { startLine: 2, startColumn: 1 },
                  },
                },
              ],
            },
          ],
        },
      ],
    });
  });

  test('a base image is asked for only when an answer hangs on it', async () => {
    const work = new Workspace();
    work.write('Dockerfile', 'FROM 127.0.0.1:9/no/such\nENV A=1\nCOPY $A /a\nCMD ["x"]\n');
    expect(await work.kiln(['lint'])).toMatchObject({ exitCode: 0, stderr: '' });
    work.write('Dockerfile', 'FROM 127.0.0.1:9/no/such\nCOPY $FROM_BASE /a\n');
    const unread = await work.kiln(['lint']);
    expect(unread.exitCode).toBe(0);
    expect(unread.stderr).toContain('note: 127.0.0.1:9/no/such could not be read');
  });

  test('ignored sources are found', async () => {
    const work = new Workspace();
    work.writeAll({ Dockerfile: 'FROM scratch\nCOPY secret /s\n', '.dockerignore': 'secret\n', secret: '' });
    expect(rulesIn((await work.kiln(['lint'])).stdout)).toEqual(['CopyIgnoredFile']);
  });
});

describe('slips of the finger', () => {
  test.each([
    [['biuld'], 'Did you mean kiln build?'],
    [['build', '--taget', 'x'], 'Did you mean --target?'],
    [['build', '--buld-arg=A=1', '.'], 'Did you mean --build-arg?'],
    [['lint', '--fomat=json'], 'Did you mean --format?'],
  ])('%j: %s', async (words, hint) => {
    const work = new Workspace();
    const { exitCode, stderr } = await work.kiln(words);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(hint);
  });
});
