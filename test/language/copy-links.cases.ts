/** COPY: symbolic and hard links on both sides, and --chown. */
import { attributes, directory, fails, file, type LanguageCase, layer, symlink } from './case.ts';

const TREE = {
  'a.txt': 'a',
  'b.txt': 'b',
  'c.md': 'c',
  'dir/one': '1',
  'dir/sub/two': '2',
  'dir/.hidden': 'h',
} as const;

const LINKS =
  'echo t > target; ln -s target link; mkdir real; echo r > real/f; ln -s real dirlink; ln -s nowhere broken';

const links: LanguageCase[] = [
  {
    name: 'a symlink that is named is followed and keeps its name',
    dockerfile: 'FROM scratch\nCOPY link /x/\nCOPY link /y\n',
    setup: LINKS,
    files: { 'x/link': file('t\n'), y: file('t\n') },
  },
  {
    name: 'a symlink to a directory that is named gives the contents',
    dockerfile: 'FROM scratch\nCOPY dirlink /x\nCOPY dirlink/f /y/\n',
    setup: LINKS,
    files: { 'x/f': file('r\n'), 'y/f': file('r\n') },
  },
  {
    name: 'a symlink that a wildcard matches is followed',
    dockerfile: 'FROM scratch\nCOPY lin* /x/\n',
    setup: LINKS,
    files: { 'x/link': file('t\n') },
  },
  {
    name: 'symlinks inside a directory stay symlinks',
    dockerfile: 'FROM scratch\nCOPY . /x/\n',
    setup: `${LINKS}; ln -s /etc/passwd absolute; ln -s ../../up climbing`,
    files: {
      'x/link': symlink('target'),
      'x/dirlink': symlink('real'),
      'x/broken': symlink('nowhere'),
      'x/absolute': symlink('/etc/passwd'),
      'x/climbing': symlink('../../up'),
    },
  },
  {
    name: 'a source symlink never leads out of the context',
    dockerfile: 'FROM scratch\nCOPY abs /x\nCOPY up /y\n',
    setup:
      'mkdir etc; echo inside > etc/hostname; ln -s /etc/hostname abs; ln -s ../../../../etc/hostname up',
    files: { x: file('inside\n'), y: file('inside\n') },
  },
  {
    name: 'a symlink on the way of the destination is followed',
    dockerfile: 'FROM scratch\nCOPY tree /\nCOPY f /link/f\nCOPY f /link/\nCOPY f /abs/new/g\n',
    setup: 'mkdir -p tree/real; ln -s real tree/link; ln -s /real tree/abs; echo f > f',
    files: { 'real/f': file('f\n'), 'real/new/g': file('f\n'), link: symlink('real'), abs: symlink('/real') },
  },
  {
    name: 'a destination that is a symlink to a directory',
    dockerfile: 'FROM scratch\nCOPY tree /\nCOPY d /link\nCOPY f /link\n',
    setup: 'mkdir -p tree/real d; ln -s real tree/link; echo f > f; echo g > d/g',
    files: { 'real/f': file('f\n'), 'real/g': file('g\n'), link: symlink('real') },
  },
  {
    name: 'a destination that is a symlink to a file',
    dockerfile: 'FROM scratch\nCOPY tree /\nCOPY f /link\n',
    setup: 'mkdir -p tree; echo old > tree/real; ln -s real tree/link; echo f > f',
    files: { real: file('f\n'), link: symlink('real') },
  },
  {
    name: 'a destination that is a dangling symlink',
    dockerfile: 'FROM scratch\nCOPY tree /\nCOPY f /link\nCOPY d /dlink\n',
    setup: 'mkdir -p tree d; ln -s /made/here tree/link; ln -s made/dir tree/dlink; echo f > f; echo g > d/g',
    files: {
      made: directory(),
      'made/here': file('f\n'),
      'made/dir/g': file('g\n'),
      link: symlink('/made/here'),
    },
  },
  {
    name: 'a symlink of the destination never leads out of the root',
    dockerfile: 'FROM scratch\nCOPY tree /\nCOPY f /escape/f\n',
    setup: 'mkdir -p tree; ln -s ../../../../tmp/kiln-escape tree/escape; echo f > f',
    files: { 'tmp/kiln-escape/f': file('f\n') },
  },
  {
    name: 'a copied file replaces a symlink inside a directory',
    dockerfile: 'FROM scratch\nCOPY one /x\nCOPY two /x\n',
    setup: 'mkdir one two; echo t > one/target; ln -s target one/f; echo new > two/f',
    files: { 'x/f': file('new\n'), 'x/target': file('t\n') },
  },
  {
    name: 'a copied symlink replaces a file',
    dockerfile: 'FROM scratch\nCOPY one /x\nCOPY two /x\n',
    setup: 'mkdir one two; echo t > one/f; ln -s target two/f',
    files: { 'x/f': symlink('target') },
  },
  {
    name: 'a loop of symlinks in the destination',
    dockerfile: 'FROM scratch\nCOPY tree /\nCOPY f /a/f\n',
    setup: 'mkdir tree; ln -s b tree/a; ln -s a tree/b; echo f > f',
    error: fails('COPY_SYMLINK_LOOP', 1, { line: 3 }),
  },
  {
    name: 'hard links in one source stay links',
    dockerfile: 'FROM scratch\nCOPY . /x/\n',
    setup: 'echo h > a; ln a b',
    files: { 'x/a': file('h\n'), 'x/b': file('h\n', { sameAs: 'x/a' }) },
  },
  {
    name: 'a fifo is copied',
    dockerfile: 'FROM scratch\nCOPY . /x/\n',
    setup: 'mkfifo p; touch f',
    files: { 'x/p': { type: 'fifo' }, 'x/f': {} },
  },
];

const owners: LanguageCase[] = (
  [
    ['1000', '1000:1000'],
    ['1000:2000', '1000:2000'],
    ['www-data', '33:33'],
    ['www-data:staff', '33:50'],
    ['33:staff', '33:50'],
    ['www-data:7', '33:7'],
    ['root:root', '0:0'],
    ['root:staff', '0:50'],
    [':staff', '0:50'],
    [':7', '0:7'],
    ['www-data:', '33:0'],
    ['1000:', '1000:0'],
    ['0', '0:0'],
  ] as const
).map(([chown, owner]) => ({
  name: `--chown=${chown}`,
  dockerfile: `FROM @busybox\nCOPY --chown=${chown} dir /made/below\n`,
  context: TREE,
  files: {
    made: directory({ owner }),
    'made/below': directory({ owner }),
    'made/below/sub/two': file('2', { owner }),
    home: attributes('755'),
  },
  history: [layer(`COPY --chown=${chown} dir /made/below # buildkit`)],
}));

const moreOwners: LanguageCase[] = [
  {
    name: '--chown of root and of numbers needs no passwd',
    dockerfile: 'FROM scratch\nCOPY --chown=root:root a.txt /a\nCOPY --chown=5:6 a.txt /b\n',
    context: TREE,
    files: { a: attributes('644'), b: attributes('644', '5:6') },
  },
  {
    name: '--chown leaves a directory that is there alone',
    dockerfile: 'FROM @busybox\nCOPY --chown=33 dir /home\n',
    context: TREE,
    files: { home: directory(), 'home/one': attributes('644', '33:33') },
  },
  {
    name: '--chown with a variable',
    dockerfile: 'FROM scratch\nARG u=12\nCOPY --chown=$u:${u}0 a.txt /a\n',
    context: TREE,
    files: { a: attributes('644', '12:120') },
    history: ['ARG u=12', 'COPY --chown=12:120 a.txt /a # buildkit'],
  },
  {
    name: '--chown by a passwd that an earlier COPY brought',
    dockerfile: 'FROM scratch\nCOPY passwd group /etc/\nCOPY --chown=me:us a.txt /a\n',
    context: { ...TREE, passwd: 'me:x:71:72::/:\n', group: 'us:x:73:\n' },
    files: { a: attributes('644', '71:73') },
  },
  {
    name: '--chown with a name the image has not',
    dockerfile: 'FROM @busybox\nCOPY --chown=nosuch a.txt /a\n',
    context: TREE,
    error: fails('RUN_UNKNOWN_USER', 1, { line: 2, message: /nosuch/ }),
  },
  {
    name: '--chown with a group the image has not',
    dockerfile: 'FROM @busybox\nCOPY --chown=1:nosuch a.txt /a\n',
    context: TREE,
    error: fails('RUN_UNKNOWN_USER', 1, { line: 2, message: /nosuch/ }),
  },
  {
    name: 'USER does not own what COPY copies',
    dockerfile: 'FROM scratch\nUSER 1000\nCOPY a.txt /d/a\n',
    context: TREE,
    files: { d: directory(), 'd/a': attributes('644') },
  },
];

export const cases: readonly LanguageCase[] = [...links, ...owners, ...moreOwners];
