/** COPY's flags beside --chown: --chmod, --parents, --exclude, --link, --from. */
import { attributes, directory, fails, file, type LanguageCase, layer, symlink } from './case.ts';

const TREE = {
  plain: { content: 'p', mode: 0o644 },
  exe: { content: 'x', mode: 0o755 },
  'dir/': { mode: 0o750 },
  'dir/f': { content: 'f', mode: 0o640 },
  'dir/x': { content: 'x', mode: 0o700 },
} as const;

/** --chmod, then the modes of plain (644), exe (755), dir (750), dir/f (640), dir/x (700) after it. */
const MODES: readonly (readonly [chmod: string, ...modes: [string, string, string, string, string]])[] = [
  ['0600', '600', '600', '600', '600', '600'],
  ['755', '755', '755', '755', '755', '755'],
  ['4711', '4711', '4711', '4711', '4711', '4711'],
  ['0', '0', '0', '0', '0', '0'],
  ['+x', '755', '755', '751', '751', '711'],
  ['u+x', '744', '755', '750', '740', '700'],
  ['go-rwx', '600', '700', '700', '600', '700'],
  ['a+r', '644', '755', '754', '644', '744'],
  ['u=rwX,go=rX', '644', '755', '755', '644', '755'],
  ['u=rw,go=r', '644', '644', '644', '644', '644'],
  ['go=u', '666', '777', '777', '666', '777'],
  ['go=u-w', '644', '755', '755', '644', '755'],
  ['u+s', '4644', '4755', '4750', '4640', '4700'],
  ['+t', '1644', '1755', '1750', '1640', '1700'],
  ['o=', '640', '750', '750', '640', '700'],
  ['g+w,o-r', '660', '771', '770', '660', '720'],
];

const modes: LanguageCase[] = MODES.map(([chmod, plain, exe, dir, inside, executable]) => ({
  name: `--chmod=${chmod}`,
  dockerfile: `FROM @busybox\nCOPY --chmod=${chmod} . /home/\n`,
  context: TREE,
  files: {
    'home/plain': file('p', { mode: plain }),
    'home/exe': { mode: exe },
    'home/dir': { mode: dir },
    'home/dir/f': { mode: inside },
    'home/dir/x': { mode: executable },
    home: directory(),
  },
  history: [layer(`COPY --chmod=${chmod} . /home/ # buildkit`)],
}));

const moreModes: LanguageCase[] = [
  {
    name: '--chmod holds for directories that are made (BuildKit from 0.21)',
    dockerfile: 'FROM scratch\nCOPY --chmod=0777 plain /a/b/f\nCOPY --chmod=750 dir /new\n',
    context: TREE,
    files: { a: { mode: '777' }, 'a/b': { mode: '777' }, new: { mode: '750' } },
  },
  {
    name: '--chmod and --chown together, with variables',
    dockerfile: 'FROM scratch\nARG m=640\nCOPY --chmod=$m --chown=$m plain /f\n',
    context: TREE,
    files: { f: attributes('640', '640:640') },
    history: ['ARG m=640', 'COPY --chown=640 --chmod=640 plain /f # buildkit'],
  },
  {
    name: '--chmod does not touch symlinks',
    dockerfile: 'FROM scratch\nCOPY --chmod=600 . /x/\n',
    setup: 'echo t > t; ln -s t l',
    files: { 'x/t': { mode: '600' }, 'x/l': symlink('t') },
  },
  ...['0999', '10000', 'rwx', 'u+q', 'u', '-1', '8'].map(
    (chmod): LanguageCase => ({
      name: `--chmod=${chmod} is wrong`,
      dockerfile: `FROM scratch\nCOPY --chmod=${chmod} plain /x\n`,
      context: TREE,
      error: fails('DOCKERFILE_CHMOD', 2, { line: 2 }),
    }),
  ),
];

const DEEP = {
  'x/a.txt': 'xa',
  'x/b.md': 'xb',
  'y/a.txt': 'ya',
  'y/z/deep.txt': 'd',
  'top.txt': 't',
} as const;

const parents: LanguageCase[] = [
  {
    name: '--parents keeps the path',
    dockerfile: 'FROM scratch\nCOPY --parents x/a.txt y/z/deep.txt /out/\n',
    context: DEEP,
    files: { 'out/x/a.txt': file('xa'), 'out/y/z/deep.txt': file('d') },
    lists: { out: ['x', 'y'], 'out/x': ['a.txt'] },
    history: [layer('COPY --parents x/a.txt y/z/deep.txt /out/ # buildkit')],
  },
  {
    name: '--parents with a wildcard',
    dockerfile: 'FROM scratch\nCOPY --parents */a.txt /out/\n',
    context: DEEP,
    lists: { out: ['x', 'y'], 'out/x': ['a.txt'], 'out/y': ['a.txt'] },
  },
  {
    name: '--parents with **',
    dockerfile: 'FROM scratch\nCOPY --parents **/*.txt /out/\n',
    context: DEEP,
    lists: {
      out: ['top.txt', 'x', 'y'],
      'out/x': ['a.txt'],
      'out/y': ['a.txt', 'z'],
      'out/y/z': ['deep.txt'],
    },
  },
  {
    name: '--parents with a pivot',
    dockerfile: 'FROM scratch\nCOPY --parents y/./z/deep.txt ./x/./a.txt /out/\n',
    context: DEEP,
    lists: { out: ['a.txt', 'z'], 'out/z': ['deep.txt'] },
  },
  {
    name: '--parents with a wildcard before the pivot',
    dockerfile: 'FROM scratch\nCOPY --parents */./*.txt /out/\n',
    context: DEEP,
    files: { 'out/a.txt': file('ya') },
    lists: { out: ['a.txt', 'top.txt'] },
  },
  {
    name: '--parents of a directory',
    dockerfile: 'FROM scratch\nCOPY --parents y /out/\n',
    context: DEEP,
    lists: { 'out/y': ['a.txt', 'z'], 'out/y/z': ['deep.txt'] },
  },
  {
    name: '--parents keeps the modes of the parents',
    dockerfile: 'FROM scratch\nCOPY --parents p/q/f /out/\n',
    context: { 'p/': { mode: 0o711 }, 'p/q/': { mode: 0o750 }, 'p/q/f': 'f' },
    files: { out: directory(), 'out/p': { mode: '711' }, 'out/p/q': { mode: '750' } },
  },
  {
    name: '--parents with --chown',
    dockerfile: 'FROM scratch\nCOPY --parents --chown=5:6 x/a.txt /out/\n',
    context: DEEP,
    files: { out: directory({ owner: '5:6' }), 'out/x': { owner: '5:6' }, 'out/x/a.txt': { owner: '5:6' } },
  },
  {
    name: '--parents gives a directory that is there the mode of the source, and leaves its owner',
    dockerfile: 'FROM @busybox\nRUN mkdir -p /out/p/q && chown 5:6 /out/p /out/p/q\nCOPY --parents p /out/\n',
    context: { 'p/': { mode: 0o711 }, 'p/q/': { mode: 0o750 }, 'p/q/f': 'f' },
    files: {
      out: directory(),
      'out/p': directory({ mode: '711', owner: '5:6' }),
      'out/p/q': directory({ mode: '750', owner: '5:6' }),
      'out/p/q/f': { owner: '0:0' },
    },
  },
  {
    name: 'without --parents such a directory takes the owner as well',
    dockerfile: 'FROM @busybox\nRUN mkdir -p /out/q && chown 5:6 /out/q\nCOPY p /out/\n',
    context: { 'p/q/': { mode: 0o750 }, 'p/q/f': 'f' },
    files: { 'out/q': directory({ mode: '750', owner: '0:0' }) },
  },
  {
    name: '--parents of a missing path',
    dockerfile: 'FROM scratch\nCOPY --parents x/none /out/\n',
    context: DEEP,
    error: fails('COPY_SOURCE_NOT_FOUND', 1, { line: 2 }),
  },
  {
    name: '--parents=false is no --parents',
    dockerfile: 'FROM scratch\nCOPY --parents=false x/a.txt /out/\n',
    context: DEEP,
    lists: { out: ['a.txt'] },
  },
];

const excludes: LanguageCase[] = [
  {
    name: '--exclude inside a directory',
    dockerfile: 'FROM scratch\nCOPY --exclude=*.txt x /out/\n',
    context: DEEP,
    lists: { out: ['b.md'] },
    history: [layer('COPY x /out/ # buildkit')],
  },
  {
    name: '--exclude is anchored at the source',
    dockerfile: 'FROM scratch\nCOPY --exclude=*.txt . /out/\nCOPY --exclude=**/*.txt . /all/\n',
    context: DEEP,
    lists: { out: ['x', 'y'], 'out/x': ['a.txt', 'b.md'], 'all/x': ['b.md'], 'all/y': ['z'], 'all/y/z': [] },
  },
  {
    name: 'several --exclude, a whole directory',
    dockerfile: 'FROM scratch\nCOPY --exclude=y --exclude=x/b.md . /out/\n',
    context: DEEP,
    lists: { out: ['top.txt', 'x'], 'out/x': ['a.txt'] },
  },
  {
    name: '--exclude with an exception',
    dockerfile: 'FROM scratch\nCOPY --exclude=x/* --exclude=!x/b.md . /out/\n',
    context: DEEP,
    lists: { 'out/x': ['b.md'] },
  },
  {
    name: '--exclude of what a wildcard matched',
    dockerfile: 'FROM scratch\nCOPY --exclude=*.md ho* /out/\n',
    context: { 'home.txt': 't', 'home.md': 'm', 'hot.png': 'p' },
    lists: { out: ['home.txt', 'hot.png'] },
  },
  {
    name: '--exclude with --parents',
    dockerfile: 'FROM scratch\nCOPY --parents --exclude=x/*.md x y /out/\n',
    context: DEEP,
    lists: { 'out/x': ['a.txt'], 'out/y': ['a.txt', 'z'] },
  },
];

const linked: LanguageCase[] = [
  {
    name: '--link copies onto nothing',
    dockerfile: 'FROM @busybox\nCOPY --link plain /tmp/f\n',
    context: TREE,
    files: { 'tmp/f': file('p'), tmp: directory() },
    lastLayer: ['tmp', 'tmp/f'],
    history: [layer('COPY plain /tmp/f # buildkit')],
  },
  {
    name: '--link does not follow symlinks of the image',
    dockerfile: 'FROM scratch\nCOPY tree /\nCOPY --link f /link/f\n',
    setup: 'mkdir -p tree/real; ln -s real tree/link; echo f > f',
    files: { 'link/f': file('f\n'), 'real/f': null },
  },
  {
    name: '--link --chmod is an ordinary copy',
    dockerfile: 'FROM scratch\nCOPY tree /\nCOPY --link --chmod=600 f /link/f\n',
    setup: 'mkdir -p tree/real; ln -s real tree/link; echo f > f',
    files: { 'real/f': file('f\n', { mode: '600' }), link: symlink('real') },
  },
  {
    name: '--link --chown with numbers',
    dockerfile: 'FROM scratch\nCOPY --link --chown=5:6 plain /d/f\n',
    context: TREE,
    files: { d: directory({ owner: '5:6' }), 'd/f': attributes('644', '5:6') },
  },
];

const PRODUCER = 'FROM scratch AS Make\nCOPY --chown=5:6 dir /made/dir\n';

const from: LanguageCase[] = [
  {
    name: '--from a stage by name, in any case',
    dockerfile: `${PRODUCER}FROM scratch\nCOPY --from=make /made/dir/f /a\nCOPY --from=MAKE made/dir/f /b\n`,
    context: TREE,
    files: { a: file('f', attributes('640', '5:6')), b: file('f') },
    history: ['COPY /made/dir/f /a # buildkit', 'COPY made/dir/f /b # buildkit'],
  },
  {
    name: '--from a stage by number',
    dockerfile: `${PRODUCER}FROM scratch\nCOPY --from=0 /made/dir/f /a\n`,
    context: TREE,
    files: { a: file('f') },
  },
  {
    name: '--from keeps owners, save for the directory itself',
    dockerfile: `${PRODUCER}FROM scratch\nCOPY --from=make /made /x\n`,
    context: TREE,
    files: { x: directory(), 'x/dir': attributes('755', '5:6'), 'x/dir/x': attributes('700', '5:6') },
  },
  {
    name: '--from with --chown',
    dockerfile: `${PRODUCER}FROM scratch\nCOPY --from=make --chown=7 /made /x\n`,
    context: TREE,
    files: { x: directory({ owner: '7:7' }), 'x/dir/x': attributes('700', '7:7') },
  },
  {
    name: '--from an image',
    dockerfile: 'FROM scratch\nCOPY --from=@busybox /etc/passwd /bin/sh /x/\n',
    files: { 'x/passwd': file(/^root:/), 'x/sh': { type: 'file', mode: '755' } },
  },
  {
    name: '--from everything of a stage',
    dockerfile: `${PRODUCER}FROM scratch\nCOPY --from=make / /\n`,
    context: TREE,
    lists: { '': ['made'], 'made/dir': ['f', 'x'] },
  },
  {
    name: '--from with a wildcard',
    dockerfile: `${PRODUCER}FROM scratch\nCOPY --from=make /m*/d?r/f /x/\n`,
    context: TREE,
    lists: { x: ['f'] },
  },
  {
    name: '--from a stage that ran something, links and capabilities and all',
    dockerfile: `
      FROM @busybox AS make
      RUN mkdir /o && cd /o && echo h > a && ln a b && ln -s a c && chown 5:6 a && chmod 4755 a && mkfifo p
      FROM scratch
      COPY --from=make /o /o
    `,
    files: {
      'o/a': file('h\n', attributes('4755', '5:6')),
      'o/b': { sameAs: 'o/a' },
      'o/c': symlink('a'),
      'o/p': { type: 'fifo' },
    },
  },
  {
    name: '--from follows symlinks inside the stage',
    dockerfile: 'FROM scratch AS s\nCOPY t /\nFROM scratch\nCOPY --from=s /l /x\nCOPY --from=s /dl /y\n',
    setup: 'mkdir -p t/d; echo f > t/d/f; ln -s /d/f t/l; ln -s d t/dl',
    files: { x: file('f\n'), 'y/f': file('f\n') },
  },
  {
    name: '--from sees what the stage deleted as gone',
    dockerfile: 'FROM @busybox AS s\nRUN rm /etc/group\nFROM scratch\nCOPY --from=s /etc /e\n',
    lists: { e: ['passwd'] },
  },
  {
    name: '--from scratch makes an empty directory',
    dockerfile: 'FROM scratch\nCOPY --from=scratch --chmod=0777 --chown=123:456 / /hello/\n',
    files: { hello: { type: 'directory', mode: '777', owner: '123:456' } },
  },
  {
    name: '--from a build context',
    dockerfile: 'FROM scratch\nCOPY --from=other f /f\n',
    args: ['--build-context', 'other=@dir/context/dir'],
    context: TREE,
    files: { f: file('f', { owner: '0:0' }) },
  },
  {
    name: '--from a missing path',
    dockerfile: `${PRODUCER}FROM scratch\nCOPY --from=make /none /x\n`,
    context: TREE,
    error: fails('COPY_SOURCE_NOT_FOUND', 1, { line: 4 }),
  },
  {
    name: '--from a number that is too large',
    dockerfile: 'FROM scratch\nCOPY --from=3 /none /x\n',
    error: fails('DOCKERFILE_FROM', 2, { line: 2, message: /invalid stage index 3/ }),
  },
  {
    name: '--from a number that is too large, in a stage that is not needed',
    dockerfile: 'FROM scratch\nCOPY --from=3 /none /x\nFROM scratch\n',
    error: fails('DOCKERFILE_FROM', 2, { line: 2, message: /invalid stage index 3/ }),
  },
  {
    name: '--from itself',
    dockerfile: 'FROM scratch AS me\nCOPY --from=me /a /b\n',
    error: fails('DOCKERFILE_CIRCULAR', 2, { line: 2, message: /circular dependency detected on stage: me/ }),
  },
  {
    name: '--from its own number',
    dockerfile: 'FROM scratch\nCOPY --from=0 /a /b\n',
    error: fails('DOCKERFILE_CIRCULAR', 2, { line: 2 }),
  },
  {
    name: '--from a later stage',
    dockerfile: 'FROM scratch AS one\nCOPY --from=two /a /b\nFROM scratch AS two\n',
    args: ['--target', 'one'],
    error: fails('DOCKERFILE_CIRCULAR', 2, {
      line: 2,
      message: /needs to be defined before current stage "one"/,
    }),
  },
  {
    name: 'two stages that copy from each other',
    dockerfile: 'FROM scratch AS one\nCOPY --from=two /a /b\nFROM scratch AS two\nCOPY --from=one /a /b\n',
    error: fails('DOCKERFILE_CIRCULAR', 2, { message: /circular dependency detected/ }),
  },
  {
    name: '--from with a variable',
    dockerfile: 'ARG s=a\nFROM scratch AS a\nFROM scratch\nCOPY --from=$s /a /b\n',
    error: fails('DOCKERFILE_ARGUMENTS', 2, {
      line: 4,
      message: /variable expansion is not supported for --from/,
    }),
  },
];

export const cases: readonly LanguageCase[] = [
  ...modes,
  ...moreModes,
  ...parents,
  ...excludes,
  ...linked,
  ...from,
];
