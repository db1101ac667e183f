import { describe, expect, test } from 'vitest';
import { parseDockerfile } from '../../src/dockerfile/parse.ts';
import { BuildError } from '../../src/errors.ts';
import { type EpochSource, epochSource } from '../../src/plan/epoch.ts';
import { buildStageGraph } from '../../src/plan/stage-graph.ts';

const platform = { os: 'linux', architecture: 'amd64' };

function sourceOf(
  text: string,
  {
    buildArgs = {},
    contexts = [],
  }: { buildArgs?: Record<string, string>; contexts?: readonly string[] } = {},
): EpochSource {
  const dockerfile = parseDockerfile({ path: 'Dockerfile', text: `${text}\nFROM scratch\n` });
  return epochSource(
    buildStageGraph(dockerfile, {
      buildArgs: new Map(Object.entries(buildArgs)),
      targetPlatform: platform,
      buildPlatform: platform,
      namedContexts: new Map(contexts.map((name) => [name, undefined])),
      labels: {},
      noCache: false,
      network: 'host',
      multiPlatform: false,
    }),
  );
}

function errorOf(work: () => unknown): BuildError {
  try {
    work();
  } catch (error) {
    if (error instanceof BuildError) return error;
    throw error;
  }
  throw new Error('nothing was wrong');
}

describe('SOURCE_DATE_EPOCH', () => {
  test.each([
    ['', {}, undefined],
    ['ARG SOURCE_DATE_EPOCH', {}, undefined],
    ['ARG SOURCE_DATE_EPOCH=', {}, undefined],
    ['ARG SOURCE_DATE_EPOCH=4', {}, 4],
    ['ARG T=5\nARG SOURCE_DATE_EPOCH=$T', {}, 5],
    ['ARG T=5\nARG SOURCE_DATE_EPOCH=$T', { T: '6' }, 6],
    ['ARG SOURCE_DATE_EPOCH=4', { SOURCE_DATE_EPOCH: '3' }, 3],
    ['ARG SOURCE_DATE_EPOCH=4', { SOURCE_DATE_EPOCH: '' }, undefined],
    ['', { SOURCE_DATE_EPOCH: '0' }, 0],
    ['', { SOURCE_DATE_EPOCH: '253402300799' }, 253_402_300_799],
    ['FROM scratch\nARG SOURCE_DATE_EPOCH=4', {}, undefined],
  ])('seconds: %o with %o', (text, buildArgs, seconds) => {
    expect(sourceOf(text, { buildArgs })).toEqual({ kind: 'seconds', seconds });
  });

  test('contexts go before stages', () => {
    const stage = 'FROM scratch AS src\nADD http://x/y /';
    const named = (value: string, contexts: readonly string[]): EpochSource =>
      sourceOf(`ARG SOURCE_DATE_EPOCH=${value}\n${stage}`, { contexts });
    expect(named('context', ['context'])).toEqual({ kind: 'context', name: undefined });
    expect(named('src', ['src'])).toEqual({ kind: 'context', name: 'src' });
    expect(named('docker.io/library/src:latest', ['src'])).toEqual({ kind: 'context', name: 'src' });
    expect(named('src', ['src::linux/amd64'])).toEqual({ kind: 'context', name: 'src::linux/amd64' });
    expect(named('Src', [])).toMatchObject({ kind: 'add', source: { kind: 'http', url: 'http://x/y' } });
  });

  test.each([
    ['ADD http://x/y /', { kind: 'http', url: 'http://x/y' }],
    ['ADD https://x/y.git#v1:dir /', { kind: 'git', url: 'https://x/y.git#v1:dir' }],
    ['ADD --keep-git-dir=false https://x/y /', { kind: 'git', url: 'https://x/y' }],
    ['ARG A=z\nADD http://x/$A /', { kind: 'http', url: 'http://x/z' }],
    ['ARG G\nADD http://x/$G /', { kind: 'http', url: 'http://x/global' }],
    ['ARG B=1\nADD http://x/$B /', { kind: 'http', url: 'http://x/given' }],
    ['ADD http://x/$SOURCE_DATE_EPOCH /', { kind: 'http', url: 'http://x/' }],
  ])('a stage with %o', (stage, source) => {
    const text = `ARG G=global\nARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\n${stage}`;
    expect(sourceOf(text, { buildArgs: { B: 'given' } })).toMatchObject({ kind: 'add', source });
  });

  test.each(['yesterday', '1.5', '-1', '+1', '1e9', '253402300800', '99999999999999999999'])(
    '%s is refused',
    (value) => {
      const flag = errorOf(() => sourceOf('', { buildArgs: { SOURCE_DATE_EPOCH: value } }));
      expect(flag).toMatchObject({ code: 'USAGE_EPOCH', message: `invalid SOURCE_DATE_EPOCH: ${value}` });
      const file = errorOf(() => sourceOf(`\nARG SOURCE_DATE_EPOCH=${value}`));
      expect(file).toMatchObject({ code: 'DOCKERFILE_EPOCH', location: { startLine: 2 } });
    },
  );

  test('the nearest word is offered', () => {
    const stage = 'ARG SOURCE_DATE_EPOCH=sorce\nFROM scratch AS source';
    expect(errorOf(() => sourceOf(stage)).suggestions[0]).toBe('Did you mean source?');
    expect(errorOf(() => sourceOf('ARG SOURCE_DATE_EPOCH=contxt')).suggestions[0]).toBe(
      'Did you mean context?',
    );
  });

  test.each([
    ['FROM busybox AS src\nADD http://x/y /', 2, 'stage must use FROM scratch'],
    ['FROM scratch AS src\nADD http://x/y /\nRUN true', 4, 'unsupported RUN instruction'],
    ['FROM scratch AS src\nCOPY x /', 3, 'unsupported COPY instruction'],
    ['FROM scratch AS src\nADD http://x/y /\nADD http://x/z /', 4, 'must contain exactly one remote ADD'],
    ['FROM scratch AS src\nADD http://x/y http://x/z /', 3, 'must contain exactly one remote ADD source'],
    ['FROM scratch AS src\nADD <<EOF /f\nEOF', 3, 'must contain exactly one remote ADD source'],
    ['FROM scratch AS src\nARG A=1', 2, 'must contain exactly one remote ADD'],
    ['FROM scratch AS src\nADD file /', 3, 'must be a single HTTP(S) or Git ADD'],
    [
      'FROM scratch AS src\nADD --checksum=sha256:1 http://x/y /',
      3,
      'invalid checksum digest format: sha256:1',
    ],
  ])('a stage that says no time: %o', (stage, startLine, message) => {
    const error = errorOf(() => sourceOf(`ARG SOURCE_DATE_EPOCH=src\n${stage}`));
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ exitStatus: 2, location: { startLine } });
  });
});
