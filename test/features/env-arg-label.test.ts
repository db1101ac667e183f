import { describe, expect, test } from 'vitest';
import { busyboxBase } from '../helpers/bases.ts';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';

test('ENV: forms, order, expansion, later values win', async () => {
  const work = new Workspace(ROOTLESS);
  const { image } = await work.build(`
    ARG BASE
    FROM $BASE
    ENV A=1 B="two words" C=three\\ words
    ENV OLD style with spaces
    ENV A=changed D=$A-\${B}-\${MISSING:-default}-\${A:+set} PATH=/opt/bin:$PATH
    ENV E=\\$A F='$A'
    RUN env | sort > /env
  `);
  const env = image.config.config.Env ?? [];
  expect(env).toEqual([
    'PATH=/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'A=changed',
    'B=two words',
    'C=three words',
    'OLD=style with spaces',
    // One ENV sees the values from before it.
    'D=1-two words-default-set',
    'E=$A',
    'F=$A',
  ]);
  for (const line of env) expect(image.text('env').split('\n')).toContain(line);
});

describe('ARG', () => {
  test('scopes: global, stage, default, --build-arg, ENV over ARG', async () => {
    const work = new Workspace(ROOTLESS);
    const { image } = await work.build(
      `
      ARG BASE
      ARG GLOBAL=from-the-top
      FROM $BASE AS other
      ARG INNER=only-here
      FROM $BASE
      RUN echo "[$GLOBAL]" > /before
      ARG GLOBAL
      ARG GIVEN=default
      ARG DEFAULT=\${GIVEN}-more
      ARG SHADOWED=arg
      ENV SHADOWED=env
      RUN echo "$GLOBAL $GIVEN $DEFAULT $SHADOWED [$INNER] [$LATER]" > /after
      ARG LATER=late
    `,
      { buildArgs: { GIVEN: 'given', SHADOWED: 'command-line' } },
    );
    expect(image.text('before')).toBe('[]\n');
    expect(image.text('after')).toBe('from-the-top given given-more env [] []\n');
    expect(image.config.config.Env?.join()).not.toContain('GIVEN');
  });

  test('--build-arg NAME takes the value from the environment, or leaves it unset', async () => {
    const work = new Workspace(ROOTLESS);
    const { image } = await work.build(
      'ARG BASE\nFROM $BASE\nARG FROM_ENV=default\nARG ABSENT=default\nRUN echo "$FROM_ENV $ABSENT" > /out\n',
      { args: ['--build-arg', 'FROM_ENV', '--build-arg', 'ABSENT'], env: { FROM_ENV: 'outside' } },
    );
    expect(image.text('out')).toBe('outside default\n');
  });

  test('platform ARGs are there without a value of their own', async () => {
    const work = new Workspace(ROOTLESS);
    const { image } = await work.build(
      'ARG BASE\nFROM --platform=$BUILDPLATFORM $BASE\nARG TARGETARCH\nARG TARGETOS\nARG TARGETPLATFORM\nRUN echo $TARGETOS $TARGETARCH $TARGETPLATFORM > /out\n',
    );
    const { architecture } = image.config;
    expect(image.text('out')).toBe(`linux ${architecture} linux/${architecture}\n`);
  });

  test('proxy settings reach RUN and stay out of image, history and cache', async () => {
    const work = new Workspace(ROOTLESS);
    const dockerfile = 'ARG BASE\nFROM $BASE\nRUN echo "$http_proxy $NO_PROXY" | wc -c > /length\n';
    const first = await work.build(dockerfile, {
      buildArgs: { http_proxy: 'http://user:hush@127.0.0.1:1', NO_PROXY: 'x' },
    });
    expect(Number(first.image.text('length'))).toBe(31);
    expect(JSON.stringify(first.image.config)).not.toContain('hush');
    const second = await work.build(dockerfile, { buildArgs: { http_proxy: 'http://other' } });
    expect(second.image.text('length')).toBe(first.image.text('length'));
  });

  test('one that no stage declares is named in a warning', async () => {
    const work = new Workspace(ROOTLESS);
    const { result } = await work.build('ARG BASE\nFROM $BASE\n', { args: ['--build-arg', 'TYPO=1'] });
    expect(result.stderr).toContain('TYPO');
  });
});

test('LABEL: forms, expansion, inheritance; --label wins', async () => {
  const work = new Workspace(ROOTLESS);
  const { image } = await work.build(
    `
    ARG BASE
    FROM $BASE AS parent
    LABEL inherited=yes replaced=old
    FROM parent
    ARG VERSION=3
    LABEL version="v$VERSION" "com.example.spaced key"="a b" multi.line="one \\
two" replaced=new
    LABEL empty=
  `,
    { args: ['--label', 'cli=1', '--label', 'version=forced'] },
  );
  expect(image.config.config.Labels).toEqual({
    inherited: 'yes',
    replaced: 'new',
    version: 'forced',
    'com.example.spaced key': 'a b',
    'multi.line': 'one two',
    empty: '',
    cli: '1',
  });
});

test('history reads as with docker: one entry an instruction, empty_layer where nothing changed', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('f', 'f');
  const { image } = await work.build(`
    ARG BASE=${busyboxBase()}
    FROM $BASE
    ARG V=1
    ENV A=b
    RUN echo $V > /v
    COPY --chown=33 f /f
    WORKDIR /made
    CMD ["sh", "-c", "true"]
    LABEL x=y
  `);
  const own = image.config.history.filter((entry) => !entry.created_by?.startsWith('make-base.sh'));
  expect(own.map((entry) => [entry.created_by, entry.empty_layer ?? false])).toEqual([
    ['ARG V=1', true],
    ['ENV A=b', true],
    ['RUN |1 V=1 /bin/sh -c echo $V > /v # buildkit', false],
    ['COPY --chown=33 f /f # buildkit', false],
    ['WORKDIR /made', false],
    ['CMD ["sh" "-c" "true"]', true],
    ['LABEL x=y', true],
  ]);
  expect(image.config.history.filter((entry) => entry.empty_layer !== true)).toHaveLength(
    image.manifest.layers.length,
  );
});
