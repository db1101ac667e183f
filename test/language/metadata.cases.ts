/** Instructions that only change the config, the words they leave in the history, and what a base passes on. */
import { fails, type LanguageCase, note } from './case.ts';

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const SH = ['/bin/sh', '-c'];

const commands: LanguageCase[] = [
  {
    name: 'FROM scratch alone',
    dockerfile: 'FROM scratch\n',
    config: { Env: [PATH], WorkingDir: '/', Cmd: undefined, Entrypoint: undefined },
    image: { rootfs: { type: 'layers', diff_ids: [] }, os: 'linux' },
    history: [],
    layers: 0,
  },
  {
    name: 'a base image alone keeps what it has',
    dockerfile: 'FROM @busybox\n',
    config: { Env: [PATH], Cmd: ['sh'] },
    history: [],
    layers: 0,
  },
  {
    name: 'CMD in exec form',
    dockerfile: 'FROM scratch\nCMD ["a", "b c"]\n',
    config: { Cmd: ['a', 'b c'], ArgsEscaped: true },
    history: [note('CMD ["a" "b c"]')],
  },
  {
    name: 'CMD in shell form',
    dockerfile: 'FROM scratch\nCMD echo  "a b" \\\n  c\n',
    config: { Cmd: [...SH, 'echo  "a b"   c'] },
    history: [note('CMD ["/bin/sh" "-c" "echo  \\"a b\\"   c"]')],
  },
  {
    name: 'CMD that is nearly JSON is for the shell',
    dockerfile: "FROM scratch\nCMD ['a', 'b']\n",
    config: { Cmd: [...SH, "['a', 'b']"] },
  },
  {
    name: 'the last CMD counts',
    dockerfile: 'FROM scratch\nCMD ["a"]\nCMD ["b"]\n',
    config: { Cmd: ['b'] },
    history: [note('CMD ["a"]'), note('CMD ["b"]')],
  },
  {
    name: 'CMD [] takes the inherited one away',
    dockerfile: 'FROM @busybox\nCMD []\n',
    config: { Cmd: undefined },
    history: [note('CMD []')],
  },
  {
    name: 'ENTRYPOINT in exec form',
    dockerfile: 'FROM scratch\nENTRYPOINT ["/e", "-x"]\n',
    config: { Entrypoint: ['/e', '-x'], ArgsEscaped: undefined },
    history: [note('ENTRYPOINT ["/e" "-x"]')],
  },
  {
    name: 'ENTRYPOINT in shell form',
    dockerfile: 'FROM scratch\nENTRYPOINT exec top -b\n',
    config: { Entrypoint: [...SH, 'exec top -b'] },
    history: [note('ENTRYPOINT ["/bin/sh" "-c" "exec top -b"]')],
  },
  {
    name: 'ENTRYPOINT drops the CMD of the base image',
    dockerfile: 'FROM @busybox\nENTRYPOINT ["/e"]\n',
    config: { Entrypoint: ['/e'], Cmd: undefined },
  },
  {
    name: 'ENTRYPOINT drops the CMD of the stage before',
    dockerfile: 'FROM scratch AS a\nCMD ["a"]\nFROM a\nENTRYPOINT ["/e"]\n',
    config: { Entrypoint: ['/e'], Cmd: undefined },
  },
  {
    name: 'ENTRYPOINT keeps a CMD of its own stage, before or after it',
    dockerfile: 'FROM @busybox\nCMD ["c"]\nENTRYPOINT ["/e"]\n',
    config: { Entrypoint: ['/e'], Cmd: ['c'] },
  },
  {
    name: 'CMD keeps the inherited ENTRYPOINT',
    dockerfile: 'FROM scratch AS a\nENTRYPOINT ["/e"]\nFROM a\nCMD ["c"]\n',
    config: { Entrypoint: ['/e'], Cmd: ['c'] },
  },
  {
    name: 'ENTRYPOINT [] takes the inherited one away',
    dockerfile: 'FROM scratch AS a\nENTRYPOINT ["/e"]\nFROM a\nENTRYPOINT []\n',
    config: { Entrypoint: undefined },
  },
  {
    name: 'SHELL is for CMD, ENTRYPOINT and RUN in shell form, and inherited',
    dockerfile: 'FROM scratch AS a\nSHELL ["/bin/bash", "-ec"]\nFROM a\nCMD x\nENTRYPOINT y\n',
    config: {
      Shell: ['/bin/bash', '-ec'],
      Cmd: ['/bin/bash', '-ec', 'x'],
      Entrypoint: ['/bin/bash', '-ec', 'y'],
    },
    history: [
      note('SHELL [/bin/bash -ec]'),
      note('CMD ["/bin/bash" "-ec" "x"]'),
      note('ENTRYPOINT ["/bin/bash" "-ec" "y"]'),
    ],
  },
  {
    name: 'SHELL in shell form',
    dockerfile: 'FROM scratch\nSHELL /bin/bash -c\n',
    error: fails('DOCKERFILE_ARGUMENTS', 2, { line: 2, message: /JSON form/ }),
  },
  {
    name: 'a JSON array with a number in it',
    dockerfile: 'FROM scratch\nCMD ["a", 1]\n',
    error: fails('DOCKERFILE_SYNTAX', 2, { line: 2 }),
  },
];

const LABELS: readonly (readonly [written: string, labels: Record<string, string>])[] = [
  ['a=1', { a: '1' }],
  ['a=1 b="two words" c=three\\ words', { a: '1', b: 'two words', c: 'three words' }],
  ['"com.example.with space"=x', { 'com.example.with space': 'x' }],
  ['a="line \\\n  go on"', { a: 'line   go on' }],
  ['a=', { a: '' }],
  ['a=""', { a: '' }],
  ['a="quote \\" and \'"', { a: 'quote " and \'' }],
  ["a='single $x \"'", { a: 'single $x "' }],
  ['old form value', { old: 'form value' }],
  ['a=b=c', { a: 'b=c' }],
  ['a=1 a=2', { a: '2' }],
];

const labels: LanguageCase[] = LABELS.map(([written, wanted]) => ({
  name: `LABEL ${JSON.stringify(written)}`,
  dockerfile: `FROM scratch\nLABEL ${written}\n`,
  config: { Labels: wanted },
}));

const moreLabels: LanguageCase[] = [
  {
    name: 'LABEL adds to the inherited ones, --label wins',
    dockerfile: 'FROM scratch AS a\nLABEL a=1 b=1 c=1\nFROM a\nLABEL b=2\n',
    args: ['--label', 'c=3', '--label', 'd=4'],
    config: { Labels: { a: '1', b: '2', c: '3', d: '4' } },
    history: [note('LABEL a=1 b=1 c=1'), note('LABEL b=2')],
  },
  {
    name: 'LABEL without a value',
    dockerfile: 'FROM scratch\nLABEL a\n',
    error: fails('DOCKERFILE_ARGUMENTS', 2, { line: 2 }),
  },
  {
    name: 'LABEL with a word that is no pair',
    dockerfile: 'FROM scratch\nLABEL a=1 b\n',
    error: fails('DOCKERFILE_SYNTAX', 2, { line: 2 }),
  },
  {
    name: 'ENV without a name',
    dockerfile: 'FROM scratch\nENV =x\n',
    error: fails('DOCKERFILE_ARGUMENTS', 2, { line: 2 }),
  },
];

const PORTS: readonly (readonly [written: string, ports: string[]])[] = [
  ['80', ['80/tcp']],
  ['80/tcp', ['80/tcp']],
  ['53/UDP', ['53/udp']],
  ['9/sctp', ['9/sctp']],
  ['443 80', ['443/tcp', '80/tcp']],
  ['80 443 53/udp', ['443/tcp', '53/udp', '80/tcp']],
  ['8000-8002', ['8000/tcp', '8001/tcp', '8002/tcp']],
  ['70-71/udp', ['70/udp', '71/udp']],
  ['127.0.0.1:8080:80', ['80/tcp']],
  ['8080:80/udp', ['80/udp']],
  ['65535', ['65535/tcp']],
];

const ports: LanguageCase[] = [
  ...PORTS.map(
    ([written, wanted]): LanguageCase => ({
      name: `EXPOSE ${written}`,
      dockerfile: `FROM scratch\nEXPOSE ${written}\n`,
      config: { ExposedPorts: Object.fromEntries(wanted.map((port) => [port, {}])) },
      history: [note(`EXPOSE [${wanted.join(' ')}]`)],
    }),
  ),
  {
    name: 'EXPOSE of a variable with several ports, added to inherited ones',
    dockerfile: 'FROM scratch AS a\nEXPOSE 1\nFROM a\nARG p="80 443/udp"\nEXPOSE $p\n',
    config: { ExposedPorts: { '1/tcp': {}, '80/tcp': {}, '443/udp': {} } },
  },
  ...['abc', '70000', '80/abc', '9-8', '80-', '/tcp', ':'].map(
    (written): LanguageCase => ({
      name: `EXPOSE ${written} is wrong`,
      dockerfile: `FROM scratch\nEXPOSE ${written}\n`,
      error: fails('DOCKERFILE_EXPOSE', 2, { line: 2 }),
    }),
  ),
];

const volumes: LanguageCase[] = [
  {
    name: 'VOLUME as a list',
    dockerfile: 'FROM scratch\nVOLUME /a /b/c\n',
    config: { Volumes: { '/a': {}, '/b/c': {} } },
    history: [note('VOLUME [/a /b/c]')],
  },
  {
    name: 'VOLUME as JSON',
    dockerfile: 'FROM scratch\nVOLUME ["/a b", "/c"]\n',
    config: { Volumes: { '/a b': {}, '/c': {} } },
    history: [note('VOLUME [/a b /c]')],
  },
  {
    name: 'VOLUME that is empty once expanded',
    dockerfile: 'FROM scratch\nVOLUME $none\n',
    error: fails('DOCKERFILE_VOLUME', 2, { line: 2 }),
  },
  {
    name: 'what a RUN writes in a VOLUME stays',
    dockerfile: 'FROM @busybox\nRUN mkdir /v && echo 1 > /v/before\nVOLUME /v\nRUN echo 2 > /v/after\n',
    files: { 'v/before': { content: '1\n' }, 'v/after': { content: '2\n' } },
  },
];

const health: LanguageCase[] = [
  {
    name: 'HEALTHCHECK in shell form with every flag',
    dockerfile:
      'FROM scratch\nHEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --start-interval=500ms --retries=4 CMD curl -f http://x || exit 1\n',
    config: {
      Healthcheck: {
        Test: ['CMD-SHELL', 'curl -f http://x || exit 1'],
        Interval: 300e9,
        Timeout: 3e9,
        StartPeriod: 90e9,
        StartInterval: 5e8,
        Retries: 4,
      },
    },
    history: [
      note(
        'HEALTHCHECK {Test:[CMD-SHELL curl -f http://x || exit 1] Interval:5m0s Timeout:3s StartPeriod:1m30s StartInterval:500ms Retries:4}',
      ),
    ],
  },
  {
    name: 'HEALTHCHECK in exec form',
    dockerfile: 'FROM scratch\nHEALTHCHECK CMD ["a", "b"]\n',
    config: { Healthcheck: { Test: ['CMD', 'a', 'b'] } },
    history: [
      note('HEALTHCHECK {Test:[CMD a b] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}'),
    ],
  },
  {
    name: 'HEALTHCHECK NONE',
    dockerfile: 'FROM scratch AS a\nHEALTHCHECK CMD x\nFROM a\nHEALTHCHECK none\n',
    config: { Healthcheck: { Test: ['NONE'] } },
  },
  {
    name: 'HEALTHCHECK is inherited',
    dockerfile: 'FROM scratch AS a\nHEALTHCHECK --retries=1 CMD x\nFROM a\n',
    config: { Healthcheck: { Test: ['CMD-SHELL', 'x'], Retries: 1 } },
  },
  ...['CMD', 'RUN x', '--interval=1 CMD x', '--interval=1us CMD x', '--retries=-1 CMD x', 'NONE x'].map(
    (written): LanguageCase => ({
      name: `HEALTHCHECK ${written} is wrong`,
      dockerfile: `FROM scratch\nHEALTHCHECK ${written}\n`,
      error: fails('DOCKERFILE_HEALTHCHECK', 2, { line: 2 }),
    }),
  ),
];

const signals: LanguageCase[] = [
  ...['SIGTERM', 'sigkill', 'HUP', '9', 'SIGRTMIN+3', 'RTMAX-14', 'SIGRTMIN+15'].map(
    (signal): LanguageCase => ({
      name: `STOPSIGNAL ${signal}`,
      dockerfile: `FROM scratch\nSTOPSIGNAL ${signal}\n`,
      config: { StopSignal: signal },
      history: [note(`STOPSIGNAL ${signal}`)],
    }),
  ),
  ...['SIGFOO', '0', 'SIGRTMIN+16', 'RTMAX-15', 'SIG TERM'].map(
    (signal): LanguageCase => ({
      name: `STOPSIGNAL ${signal} is wrong`,
      dockerfile: `FROM scratch\nSTOPSIGNAL ${signal}\n`,
      error: fails('DOCKERFILE_STOPSIGNAL', 2, { line: 2, message: /invalid signal/ }),
    }),
  ),
];

const rest: LanguageCase[] = [
  {
    name: 'MAINTAINER',
    dockerfile: 'FROM scratch\nMAINTAINER Some One <some@one>\n',
    image: { author: 'Some One <some@one>' },
    history: [note('MAINTAINER Some One <some@one>')],
  },
  {
    name: 'history of everything, in order',
    dockerfile: `
      FROM @busybox
      ARG a=1
      ARG b
      ENV c=3 d="x y"
      RUN true
      ENV a=env
      RUN ["true"]
      WORKDIR /w
      WORKDIR /
      USER 1:2
      COPY f /f
      ADD f /g
      VOLUME ["/v"]
    `,
    context: { f: 'f' },
    args: ['--build-arg', 'b=two words'],
    history: [
      note('ARG a=1'),
      note('ARG b=two words'),
      note('ENV c=3 d=x y'),
      { createdBy: 'RUN |2 a=1 b=two words /bin/sh -c true # buildkit', layer: true },
      note('ENV a=env'),
      { createdBy: 'RUN |2 a=env b=two words true # buildkit', layer: true },
      { createdBy: 'WORKDIR /w', layer: true },
      note('WORKDIR /'),
      note('USER 1:2'),
      { createdBy: 'COPY f /f # buildkit', layer: true },
      { createdBy: 'ADD f /g # buildkit', layer: true },
      note('VOLUME [/v]'),
    ],
  },
  {
    name: 'history of a RUN counts an ARG without a value, and each ARG once',
    dockerfile: 'FROM @busybox\nARG a\nARG b=1\nARG b=2\nRUN true\n',
    history: ['ARG a', 'ARG b=1', 'ARG b=2', 'RUN |2 a= b=2 /bin/sh -c true # buildkit'],
  },
  {
    name: 'ARGs of the stage below come first in the history of RUN',
    dockerfile: 'FROM @busybox AS one\nARG a=1\nFROM one\nARG b=2\nRUN true\n',
    history: ['ARG a=1', 'ARG b=2', 'RUN |2 a=1 b=2 /bin/sh -c true # buildkit'],
  },
  {
    name: 'history has the words as they are expanded',
    dockerfile: 'FROM scratch\nARG d=/x\nWORKDIR $d/y\nCOPY f $d/z\nUSER ${d#/}\n',
    context: { f: '' },
    history: ['ARG d=/x', 'WORKDIR /x/y', 'COPY f /x/z # buildkit', 'USER x'],
  },
];

export const cases: readonly LanguageCase[] = [
  ...commands,
  ...labels,
  ...moreLabels,
  ...ports,
  ...volumes,
  ...health,
  ...signals,
  ...rest,
];
