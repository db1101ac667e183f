/** Stages: bases, names, targets, what is built and what is not, platforms. */
import { fails, file, type LanguageCase, layer } from './case.ts';

const bases: LanguageCase[] = [
  {
    name: 'a stage on a stage has its layers, config and history',
    dockerfile: 'FROM scratch AS a\nCOPY f /a\nENV e=1\nFROM a AS b\nCOPY f /b\nFROM b\nCOPY f /c\n',
    context: { f: 'f' },
    files: { a: file('f'), b: file('f'), c: file('f') },
    layers: 3,
    history: [
      layer('COPY f /a # buildkit'),
      'ENV e=1',
      layer('COPY f /b # buildkit'),
      layer('COPY f /c # buildkit'),
    ],
  },
  {
    name: 'the name after AS counts in any case, FROM keeps to lower case',
    dockerfile: 'FROM scratch AS Upper\nLABEL x=1\nFROM upper\n',
    config: { Labels: { x: '1' } },
  },
  {
    name: 'the last stage of a name is meant by what follows',
    dockerfile: 'FROM scratch AS a\nCOPY f /one\nFROM scratch AS a\nCOPY f /two\nFROM a\n',
    context: { f: '' },
    files: { one: null, two: {} },
  },
  {
    name: 'a number in FROM is an image, not a stage',
    dockerfile: 'FROM scratch AS a\nFROM 0\n',
    error: fails('', 1, { line: 2 }),
  },
  {
    name: 'a stage may be called like an instruction or an image',
    dockerfile: 'FROM scratch AS busybox\nLABEL x=1\nFROM scratch AS run\nFROM busybox\n',
    config: { Labels: { x: '1' } },
  },
  {
    name: 'keywords in any case',
    dockerfile: 'from scratch as a\ncopy f /f\nlabel x=1\nFrom a\nCmd ["x"]\n',
    context: { f: 'f' },
    files: { f: file('f') },
    config: { Cmd: ['x'], Labels: { x: '1' } },
  },
  {
    name: 'the build context stands for a stage of its name',
    dockerfile: 'FROM scratch AS src\nCOPY nothere /x\nFROM scratch\nCOPY --from=src f /f\n',
    args: ['--build-context', 'src=@dir/context/d'],
    context: { 'd/f': 'f' },
    files: { f: file('f') },
  },
];

const SIX = `
  FROM scratch AS base
  LABEL s=base
  FROM @busybox AS bad
  RUN exit 1
  FROM base AS dev
  LABEL s=dev
  FROM base
  LABEL s=third
  FROM base AS Prod
  LABEL s=prod
`;

const targets: LanguageCase[] = [
  {
    name: 'the last stage is the default',
    dockerfile: SIX,
    config: { Labels: { s: 'prod' } },
    printsNot: /exit 1/,
  },
  { name: '--target by name', dockerfile: SIX, args: ['--target', 'dev'], config: { Labels: { s: 'dev' } } },
  {
    name: '--target in any case',
    dockerfile: SIX,
    args: ['--target', 'PROD'],
    config: { Labels: { s: 'prod' } },
  },
  {
    name: '--target by number',
    dockerfile: SIX,
    args: ['--target', '3'],
    config: { Labels: { s: 'third' } },
  },
  {
    name: '--target that fails',
    dockerfile: SIX,
    args: ['--target', 'bad'],
    error: fails('RUN_FAILED', 1, { line: 4 }),
  },
  {
    name: '--target that is not there',
    dockerfile: SIX,
    args: ['--target', 'prd'],
    error: fails('USAGE_UNKNOWN_TARGET', 2, { message: /Did you mean prod/ }),
  },
  {
    name: 'a stage that is not needed may name an image that is not there',
    dockerfile: 'FROM localhost:1/no/such AS x\nRUN false\nFROM scratch\nCOPY f /f\n',
    context: { f: 'f' },
    files: { f: file('f') },
  },
  {
    name: 'a stage that is only copied from is built, with what it stands on',
    dockerfile: 'FROM scratch AS a\nCOPY f /a\nFROM a AS b\nCOPY f /b\nFROM scratch\nCOPY --from=b /a /b /\n',
    context: { f: 'f' },
    lists: { '': ['a', 'b'] },
    layers: 1,
  },
  {
    name: 'an empty last stage',
    dockerfile: 'FROM scratch AS a\nCOPY f /f\nFROM scratch\n',
    context: { f: '' },
    layers: 0,
  },
  {
    name: 'stages that are needed twice are built once',
    dockerfile: `
      FROM @busybox AS once
      RUN cat /proc/sys/kernel/random/uuid > /id
      FROM once AS a
      FROM once AS b
      FROM scratch
      COPY --from=a /id /a
      COPY --from=b /id /b
      COPY --from=once /id /c
    `,
    files: { a: file(/^[0-9a-f-]{36}\n$/), b: {}, c: {} },
  },
];

const platforms: LanguageCase[] = [
  {
    name: 'FROM --platform of a stage that is only copied',
    dockerfile: 'FROM --platform=linux/arm64 scratch AS a\nCOPY f /f\nFROM scratch\nCOPY --from=a /f /f\n',
    args: ['--platform', 'linux/amd64'],
    context: { f: 'f' },
    files: { f: file('f') },
    image: { architecture: 'amd64' },
  },
  {
    name: '--platform decides what the image is for',
    dockerfile: 'FROM scratch\n',
    args: ['--platform', 'linux/arm64'],
    image: { architecture: 'arm64', os: 'linux' },
  },
  {
    name: '--platform goes into the config over what FROM --platform took',
    dockerfile: 'FROM --platform=$BUILDPLATFORM @busybox\nCOPY f /f\n',
    args: ['--platform', 'linux/arm/v7'],
    context: { f: 'f' },
    files: { f: file('f'), 'bin/busybox': {} },
    image: { architecture: 'arm', os: 'linux', variant: 'v7' },
  },
  {
    name: 'without --platform the image is for what its base is for',
    dockerfile: 'FROM @busybox\nCOPY f /f\n',
    context: { f: 'f' },
    image: { architecture: 'amd64', os: 'linux' },
  },
  {
    name: 'DOCKER_DEFAULT_PLATFORM stands in for --platform',
    dockerfile: 'FROM scratch\nARG TARGETPLATFORM\nLABEL p=$TARGETPLATFORM\n',
    env: { DOCKER_DEFAULT_PLATFORM: 'linux/s390x' },
    image: { architecture: 's390x' },
    config: { Labels: { p: 'linux/s390x' } },
  },
  {
    name: 'FROM --platform that is none',
    dockerfile: 'FROM --platform=a/b/c/d/e scratch\n',
    error: fails('DOCKERFILE_PLATFORM', 2, { line: 1 }),
  },
  {
    name: 'FROM --platform that is empty once expanded',
    dockerfile: 'FROM --platform=$none scratch\n',
    error: fails('DOCKERFILE_PLATFORM', 2, { line: 1, message: /empty platform value/ }),
  },
];

const errors: LanguageCase[] = [
  {
    name: 'FROM with two words',
    dockerfile: 'FROM scratch x\n',
    error: fails('DOCKERFILE_ARGUMENTS', 2, { line: 1, message: /either one or three arguments/ }),
  },
  {
    name: 'FROM with a name that begins with a digit',
    dockerfile: 'FROM scratch AS 1st\n',
    error: fails('DOCKERFILE_STAGE_NAME', 2, { line: 1 }),
  },
  {
    name: 'FROM with nothing',
    dockerfile: 'FROM\n',
    error: fails('DOCKERFILE_ARGUMENTS', 2, { line: 1 }),
  },
  {
    name: 'FROM of a variable that is not set, in a stage that is not needed',
    dockerfile: 'ARG x\nFROM $x AS a\nFROM scratch\n',
    error: fails('DOCKERFILE_EMPTY_BASE', 2, { line: 2 }),
  },
  {
    name: 'an instruction before FROM',
    dockerfile: 'ENV a=1\nFROM scratch\n',
    error: fails('DOCKERFILE_NO_STAGE', 2, { line: 1 }),
  },
  {
    name: 'only ARG',
    dockerfile: 'ARG a=1\n',
    error: fails('DOCKERFILE_NO_STAGE', 2, { message: /no stages/ }),
  },
  { name: 'an empty file', dockerfile: '', error: fails('DOCKERFILE_EMPTY', 2, {}) },
  { name: 'only comments', dockerfile: '# nothing\n\n', error: fails('DOCKERFILE_EMPTY', 2, {}) },
  {
    name: 'an unknown instruction',
    dockerfile: 'FROM scratch\nCOPPY a b\n',
    error: fails('DOCKERFILE_UNKNOWN_INSTRUCTION', 2, { line: 2, message: /Did you mean COPY/ }),
  },
  {
    name: 'an image name with upper case letters',
    dockerfile: 'FROM scratch AS a\nFROM localhost:1/Some/Image\n',
    error: fails('', 1, { line: 2 }),
  },
  {
    name: 'a base image that cannot be reached',
    dockerfile: 'FROM localhost:1/no/such\n',
    error: fails('', 1, { line: 1 }),
  },
  {
    name: 'an error in a stage that is not needed is an error',
    dockerfile: 'FROM scratch AS a\nCOPY --unknown a b\nFROM scratch\n',
    error: fails('DOCKERFILE_UNKNOWN_FLAG', 2, { line: 2 }),
  },
];

export const cases: readonly LanguageCase[] = [...bases, ...targets, ...platforms, ...errors];
