/** COPY from the context: destinations, wildcards, links, owners and modes. */
import { attributes, directory, fails, file, type LanguageCase, layer } from './case.ts';

const TREE = {
  'a.txt': 'a',
  'b.txt': 'b',
  'c.md': 'c',
  'dir/one': '1',
  'dir/sub/two': '2',
  'dir/.hidden': 'h',
} as const;

const destinations: LanguageCase[] = [
  {
    name: 'a file to a new name',
    dockerfile: 'FROM scratch\nCOPY a.txt /x/y/renamed\n',
    context: TREE,
    files: { x: directory(), 'x/y': directory(), 'x/y/renamed': file('a', attributes('644')) },
    lastLayer: ['x', 'x/y', 'x/y/renamed'],
    history: [layer('COPY a.txt /x/y/renamed # buildkit')],
  },
  {
    name: 'a file into a directory by a trailing slash',
    dockerfile: 'FROM scratch\nCOPY a.txt /x/\n',
    context: TREE,
    files: { x: directory(), 'x/a.txt': file('a') },
  },
  {
    name: 'a file into a directory by a trailing dot',
    dockerfile: 'FROM scratch\nWORKDIR /w\nCOPY a.txt .\nCOPY b.txt ./\nCOPY c.md /x/.\n',
    context: TREE,
    files: { 'w/a.txt': file('a'), 'w/b.txt': file('b'), 'x/c.md': file('c') },
  },
  {
    name: 'a file into a directory that is there',
    dockerfile: 'FROM @busybox\nCOPY a.txt /home\n',
    context: TREE,
    files: { 'home/a.txt': file('a') },
  },
  {
    name: 'a file over a file',
    dockerfile: 'FROM @busybox\nCOPY a.txt /etc/passwd\n',
    context: TREE,
    files: { 'etc/passwd': file('a') },
    lastLayer: ['etc', 'etc/passwd'],
  },
  {
    name: 'a relative destination is below WORKDIR',
    dockerfile: 'FROM scratch\nWORKDIR /w/x\nCOPY a.txt r\nCOPY a.txt ../up\nCOPY a.txt d/\n',
    context: TREE,
    files: { 'w/x/r': file('a'), 'w/up': file('a'), 'w/x/d/a.txt': file('a') },
  },
  {
    name: 'a destination cannot leave the root',
    dockerfile: 'FROM scratch\nCOPY a.txt ../../../up\nCOPY a.txt /x/../../y\n',
    context: TREE,
    files: { up: file('a'), y: file('a') },
  },
  {
    name: 'the contents of a directory, not the directory',
    dockerfile: 'FROM scratch\nCOPY dir /x\nCOPY dir/ /y/\nCOPY dir/. /z\n',
    context: TREE,
    lists: { x: ['.hidden', 'one', 'sub'], y: ['.hidden', 'one', 'sub'], z: ['.hidden', 'one', 'sub'] },
    files: { 'x/sub/two': file('2') },
  },
  {
    name: 'a directory into one that is there merges',
    dockerfile: 'FROM scratch\nCOPY dir /x\nCOPY more /x\n',
    context: { ...TREE, 'more/one': 'new', 'more/sub/three': '3' },
    files: { 'x/one': file('new'), 'x/sub/two': file('2'), 'x/sub/three': file('3') },
  },
  {
    name: 'everything',
    dockerfile: 'FROM scratch\nCOPY . .\nCOPY . /all/\n',
    context: TREE,
    lists: { '': ['a.txt', 'all', 'b.txt', 'c.md', 'dir'], all: ['a.txt', 'b.txt', 'c.md', 'dir'] },
  },
  {
    name: 'a source that begins with a slash or climbs is below the context',
    dockerfile: 'FROM scratch\nCOPY /a.txt /x/\nCOPY ../../b.txt /x/\nCOPY ./dir/../c.md /x/\n',
    context: TREE,
    lists: { x: ['a.txt', 'b.txt', 'c.md'] },
  },
  {
    name: 'several sources',
    dockerfile: 'FROM scratch\nCOPY a.txt dir c.md /x/\n',
    context: TREE,
    lists: { x: ['.hidden', 'a.txt', 'c.md', 'one', 'sub'] },
    history: [layer('COPY a.txt dir c.md /x/ # buildkit')],
  },
  {
    name: 'several sources into a directory that is there, without a slash',
    dockerfile: 'FROM @busybox\nCOPY a.txt b.txt /home\n',
    context: TREE,
    lists: { home: ['a.txt', 'b.txt'] },
  },
  {
    name: 'several sources to a name that is no directory: the last one stays',
    dockerfile: 'FROM scratch\nCOPY a.txt b.txt /x\n',
    context: TREE,
    files: { x: file('b') },
  },
  {
    name: 'JSON form, with spaces',
    dockerfile: 'FROM scratch\nCOPY ["a b.txt", "/x y/"]\n',
    context: { 'a b.txt': 'ab' },
    files: { 'x y/a b.txt': file('ab') },
    history: [layer('COPY a b.txt /x y/ # buildkit')],
  },
  {
    name: 'modes, empty directories and empty files are kept',
    dockerfile: 'FROM scratch\nCOPY . /x/\n',
    context: {
      exe: { content: '#!', mode: 0o755 },
      secret: { mode: 0o600 },
      setuid: { mode: 0o4755 },
      'empty/': { mode: 0o700 },
      'sticky/': { mode: 0o1777 },
    },
    files: {
      'x/exe': attributes('755'),
      'x/secret': file('', { mode: '600' }),
      'x/setuid': attributes('4755'),
      'x/empty': { type: 'directory', mode: '700' },
      'x/sticky': { type: 'directory', mode: '1777' },
    },
  },
  {
    name: 'the attributes of a copied directory itself are not copied',
    dockerfile: 'FROM scratch\nCOPY private /new\n',
    context: { 'private/': { mode: 0o700 }, 'private/below/': { mode: 0o750 }, 'private/f': '' },
    files: { new: directory(), 'new/below': { mode: '750' } },
  },
  {
    name: 'nor do they change a directory that is there',
    dockerfile: 'FROM @busybox\nCOPY private /tmp\n',
    context: { 'private/': { mode: 0o700 }, 'private/f': '' },
    files: { tmp: { mode: '1777' }, 'tmp/f': {} },
  },
  {
    name: 'directories below take the attributes of the source',
    dockerfile: 'FROM @busybox\nCOPY top /\n',
    context: { 'top/tmp/': { mode: 0o750 }, 'top/tmp/f': '' },
    files: { tmp: { mode: '750' } },
  },
  {
    name: 'names with unusual characters',
    dockerfile: 'FROM scratch\nCOPY . /x/\n',
    setup: "touch 'with space' 'ünï' 'quo\"te' 'back\\slash' '#hash' ' lead' \"it's\"; touch -- -dash",
    lists: { x: [' lead', '#hash', '-dash', 'back\\slash', "it's", 'quo"te', 'with space', 'ünï'] },
  },
  {
    name: 'owners of the context do not matter',
    dockerfile: 'FROM scratch\nCOPY . /x/\n',
    setup: 'mkdir d; touch d/f; chown -R 1234:5678 d',
    files: { 'x/d': attributes('755'), 'x/d/f': attributes('644') },
  },
];

const wildcards: LanguageCase[] = [
  {
    name: '* takes the files of one directory',
    dockerfile: 'FROM scratch\nCOPY *.txt /x/\n',
    context: TREE,
    lists: { x: ['a.txt', 'b.txt'] },
  },
  {
    name: '? and classes',
    dockerfile: 'FROM scratch\nCOPY ?.txt /x/\nCOPY [a-b].txt /y/\nCOPY [^a].txt /z/\n',
    context: TREE,
    lists: { x: ['a.txt', 'b.txt'], y: ['a.txt', 'b.txt'], z: ['b.txt'] },
  },
  {
    name: 'a directory that matches gives its contents',
    dockerfile: 'FROM scratch\nCOPY d* /x/\n',
    context: TREE,
    lists: { x: ['.hidden', 'one', 'sub'] },
  },
  {
    name: '* also takes what begins with a dot',
    dockerfile: 'FROM scratch\nCOPY dir/* /x/\n',
    context: TREE,
    lists: { x: ['.hidden', 'one', 'two'] },
  },
  {
    name: 'a wildcard in the middle',
    dockerfile: 'FROM scratch\nCOPY p/*/f.txt /x/\n',
    context: { 'p/a/f.txt': 'a', 'p/b/f.txt': 'b', 'p/b/g.txt': 'g' },
    files: { 'x/f.txt': file('b') },
    lists: { x: ['f.txt'] },
  },
  {
    name: '** is only a * in a source',
    dockerfile: 'FROM scratch\nCOPY p/**/f /x/\n',
    context: { 'p/f': 'no', 'p/a/f': 'yes', 'p/a/b/f': 'no' },
    files: { 'x/f': file('yes') },
  },
  {
    name: 'a wildcard that matches nothing copies nothing',
    dockerfile: 'FROM scratch\nCOPY a.txt *.nothing /x/\nCOPY *.nothing /y/\n',
    context: TREE,
    lists: { x: ['a.txt'] },
    files: { y: null },
    layers: 2,
  },
  {
    name: 'an escape is gone before wildcards are looked for',
    dockerfile: 'FROM scratch\nCOPY star\\*.txt /x/\n',
    context: { 'star*.txt': 's', 'starry.txt': 'too' },
    lists: { x: ['star*.txt', 'starry.txt'] },
  },
  {
    name: 'a class around a bracket is a name',
    dockerfile: 'FROM scratch\nCOPY arr[[]0].txt /x/\n',
    context: { 'arr[0].txt': 's', 'arr0.txt': 'no' },
    lists: { x: ['arr[0].txt'] },
  },
  {
    name: 'JSON form has wildcards too',
    dockerfile: 'FROM scratch\nCOPY ["*.md", "/x/"]\n',
    context: TREE,
    lists: { x: ['c.md'] },
  },
];

const LINKS =
  'echo t > target; ln -s target link; mkdir real; echo r > real/f; ln -s real dirlink; ln -s nowhere broken';

const errors: LanguageCase[] = [
  {
    name: 'a directory over a file',
    dockerfile: 'FROM @busybox\nCOPY dir /etc/passwd\n',
    context: TREE,
    error: fails('COPY_NOT_A_DIRECTORY', 1, { line: 2 }),
  },
  {
    name: 'a file below a file',
    dockerfile: 'FROM @busybox\nCOPY a.txt /etc/passwd/a\n',
    context: TREE,
    error: fails('COPY_NOT_A_DIRECTORY', 1, { line: 2 }),
  },
  {
    name: 'a file as a directory by its slash',
    dockerfile: 'FROM @busybox\nCOPY a.txt /etc/passwd/\n',
    context: TREE,
    error: fails('COPY_NOT_A_DIRECTORY', 1, { line: 2 }),
  },
  {
    name: 'a file over a directory inside',
    dockerfile: 'FROM scratch\nCOPY dir /x\nCOPY other /x\n',
    context: { ...TREE, 'other/sub': 'a file' },
    error: fails('COPY_IS_A_DIRECTORY', 1, { line: 3 }),
  },
  {
    name: 'a directory over a symlink inside',
    dockerfile: 'FROM scratch\nCOPY one /x\nCOPY dir /x\n',
    context: TREE,
    setup: 'mkdir -p one/real; ln -s real one/sub',
    error: fails('COPY_NOT_A_DIRECTORY', 1, { line: 3 }),
  },
  {
    name: 'a missing file, with a near name',
    dockerfile: 'FROM scratch\n\nCOPY a.tx /a\n',
    context: TREE,
    error: fails('COPY_SOURCE_NOT_FOUND', 1, { line: 3, message: /Did you mean a\.txt/ }),
  },
  {
    name: 'a missing file below a directory',
    dockerfile: 'FROM scratch\nCOPY dir/sub/none /a\n',
    context: TREE,
    error: fails('COPY_SOURCE_NOT_FOUND', 1, { line: 2 }),
  },
  {
    name: 'a dangling symlink that is named',
    dockerfile: 'FROM scratch\nCOPY broken /a\n',
    setup: LINKS,
    error: fails('COPY_SOURCE_NOT_FOUND', 1, { line: 2 }),
  },
  {
    name: 'one missing file among several',
    dockerfile: 'FROM scratch\nCOPY a.txt none b.txt /x/\n',
    context: TREE,
    error: fails('COPY_SOURCE_NOT_FOUND', 1, { line: 2, message: /none/ }),
  },
  {
    name: 'no destination',
    dockerfile: 'FROM scratch\nCOPY a.txt\n',
    context: TREE,
    error: fails('DOCKERFILE_ARGUMENTS', 2, { line: 2, message: /requires at least two arguments/ }),
  },
  {
    name: 'a socket in the context',
    dockerfile: 'FROM scratch\nCOPY d /\n',
    setup: 'mkdir d; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\'d/s\')"',
    error: fails('CONTEXT_SOCKET', 1, {
      line: 2,
      message: /d\/s in the build context is a socket.+\.dockerignore/s,
    }),
  },
  {
    name: 'a socket in the context that is ignored',
    dockerfile: 'FROM scratch\nCOPY d /\n',
    context: { '.dockerignore': 'd/s\n' },
    setup: 'mkdir d; touch d/f; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\'d/s\')"',
    lists: { '': ['f'] },
  },
  {
    name: 'a URL',
    dockerfile: 'FROM scratch\nCOPY https://example.com/x /x\n',
    error: fails('DOCKERFILE_COPY', 2, { line: 2, message: /Use ADD/ }),
  },
  {
    name: 'an unknown flag',
    dockerfile: 'FROM scratch\nCOPY --chwon=1 a.txt /x\n',
    context: TREE,
    error: fails('DOCKERFILE_UNKNOWN_FLAG', 2, { line: 2, message: /--chown/ }),
  },
];

export const cases: readonly LanguageCase[] = [...destinations, ...wildcards, ...errors];
