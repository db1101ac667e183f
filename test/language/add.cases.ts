/** ADD of what is local: archives of every kind, and what only looks like one. */
import { attributes, directory, fails, file, type LanguageCase, layer, symlink } from './case.ts';

const MAKE =
  'mkdir -p in/d; echo f > in/f; echo x > in/d/x; chmod 755 in/d/x; chmod 750 in/d; ln -s f in/l; ln in/f in/h; chown -R 7:8 in';

const CONTENT = {
  'x/f': file('f\n', attributes('644', '7:8')),
  'x/d': { type: 'directory', mode: '750', owner: '7:8' },
  'x/d/x': file('x\n', attributes('755', '7:8')),
  'x/l': symlink('f'),
} as const;

const KINDS: readonly (readonly [name: string, command: string])[] = [
  ['a.tar', 'tar cf a.tar -C in .'],
  ['a.tar.gz', 'tar czf a.tar.gz -C in .'],
  ['a.tgz', 'tar czf a.tgz -C in .'],
  ['a.tar.bz2', 'tar cjf a.tar.bz2 -C in .'],
  ['a.tar.xz', 'tar cJf a.tar.xz -C in .'],
  ['a.tar.zst', 'tar cf a.tar -C in .; zstd -q a.tar'],
  ['no-suffix', 'tar czf no-suffix -C in .'],
  ['pax.tar', 'tar --format=pax -cf pax.tar -C in .'],
  ['ustar.tar', 'tar --format=ustar -cf ustar.tar -C in .'],
  ['gnu.tar', 'tar --format=gnu -cf gnu.tar -C in .'],
  ['v7.tar', 'tar --format=v7 -cf v7.tar -C in .'],
  ['names.tar', 'tar cf names.tar -C in f d l h'],
];

const kinds: LanguageCase[] = KINDS.map(([name, command]) => ({
  name: `ADD ${name}`,
  dockerfile: `FROM scratch\nADD ${name} /x\n`,
  setup: `${MAKE}; ${command}`,
  files: CONTENT,
  lists: { x: ['d', 'f', 'h', 'l'] },
  history: [layer(`ADD ${name} /x # buildkit`)],
}));

const archives: LanguageCase[] = [
  {
    name: 'the destination of an archive is a directory, with or without a slash',
    dockerfile: 'FROM scratch\nADD a.tar /new/dir\nADD a.tar /other/\nADD a.tar .\n',
    setup: 'echo f > f; tar cf a.tar f',
    files: { new: directory(), 'new/dir': directory(), 'new/dir/f': file('f\n'), 'other/f': {}, f: {} },
  },
  {
    name: 'an archive does not change directories it only passes through',
    dockerfile: 'FROM @busybox\nADD a.tar /\n',
    setup: 'mkdir tmp; echo f > tmp/f; tar cf a.tar tmp/f',
    files: { tmp: { mode: '1777' }, 'tmp/f': file('f\n') },
  },
  {
    name: 'the destination stays as it is whatever an archive says of "./"',
    dockerfile: 'FROM @busybox\nADD a.tar /x\nADD a.tar /\nADD a.tar /tmp\n',
    setup: 'mkdir -m 711 in; touch in/f; chown -R 7:8 in; tar cf a.tar -C in .',
    files: { x: directory(), 'x/f': { owner: '7:8' }, tmp: { mode: '1777', owner: '0:0' } },
  },
  {
    name: 'a directory of an archive goes through a symlink, a file replaces it',
    dockerfile: 'FROM scratch\nADD a.tar /\nADD b.tar /\n',
    setup:
      'mkdir -p usr/lib; ln -s usr/lib lib; echo f > file; ln -s file link; tar cf a.tar usr lib file link;' +
      ' rm lib link; mkdir lib; echo s > lib/so; echo new > link; tar cf b.tar lib link',
    files: {
      lib: { type: 'symlink', link: 'usr/lib' },
      'usr/lib/so': file('s\n'),
      link: file('new\n'),
      file: file('f\n'),
    },
  },
  {
    name: 'an archive changes directories that are its members',
    dockerfile: 'FROM @busybox\nADD a.tar /\n',
    setup: 'mkdir -m 700 tmp; echo f > tmp/f; chown 5:6 tmp; tar cf a.tar tmp',
    files: { tmp: { mode: '700', owner: '5:6' } },
  },
  {
    name: 'several archives and files',
    dockerfile: 'FROM scratch\nADD a.tar b.tar.gz c /x/\n',
    setup: 'echo a > a; tar cf a.tar a; echo b > b; tar czf b.tar.gz b; echo c > c',
    lists: { x: ['a', 'b', 'c'] },
  },
  {
    name: 'archives that a wildcard matches',
    dockerfile: 'FROM scratch\nADD *.tar /x/\n',
    setup: 'echo a > a; tar cf a.tar a; echo b > b; tar cf b.tar b',
    lists: { x: ['a', 'b'] },
  },
  {
    name: 'archives in a directory stay archives',
    dockerfile: 'FROM scratch\nADD d /x/\n',
    setup: 'mkdir d; echo a > a; tar cf d/a.tar a',
    lists: { x: ['a.tar'] },
  },
  {
    name: 'an archive behind a symlink',
    dockerfile: 'FROM scratch\nADD link /x\n',
    setup: 'echo a > a; tar cf a.tar a; ln -s a.tar link',
    files: { 'x/a': file('a\n') },
  },
  {
    name: 'COPY never unpacks',
    dockerfile: 'FROM scratch\nCOPY a.tar.gz /x/\n',
    setup: 'echo a > a; tar czf a.tar.gz a',
    lists: { x: ['a.tar.gz'] },
  },
  {
    name: '--unpack=false keeps the archive, --unpack=true is the default',
    dockerfile:
      'FROM scratch\nADD --unpack=false a.tar /x/\nADD --unpack a.tar /y/\nADD --unpack=true a.tar /z/\n',
    setup: 'echo a > a; tar cf a.tar a',
    lists: { x: ['a.tar'], y: ['a'], z: ['a'] },
  },
  {
    name: '--chown owns what an archive holds, --chmod does not change it',
    dockerfile: 'FROM @busybox\nADD --chown=www-data:50 --chmod=700 a.tar /x\n',
    setup: `${MAKE}; tar cf a.tar -C in .`,
    files: {
      'x/f': attributes('644', '33:50'),
      'x/d': attributes('750', '33:50'),
      'x/d/x': attributes('755', '33:50'),
    },
  },
  {
    name: 'links, special files and modes of an archive',
    dockerfile: 'FROM scratch\nADD a.tar /x\n',
    setup: `mkdir in; cd in; echo f > f; chmod 4755 f; ln f hard; ln -s /etc/x abs; mkfifo p; mkdir -m 1777 t; cd ..; tar cf a.tar -C in .`,
    files: {
      'x/f': { mode: '4755' },
      'x/hard': { type: 'file', mode: '4755', content: 'f\n' },
      'x/abs': symlink('/etc/x'),
      'x/p': { type: 'fifo' },
      'x/t': { mode: '1777' },
    },
  },
  {
    name: 'an archive through a symlink of the image',
    dockerfile: 'FROM scratch\nCOPY tree /\nADD a.tar /link/new\n',
    setup: 'mkdir -p tree/real; ln -s real tree/link; echo a > a; tar cf a.tar a',
    files: { 'real/new/a': file('a\n'), link: symlink('real') },
  },
  {
    name: 'the later member of a name wins',
    dockerfile: 'FROM scratch\nADD a.tar /x\n',
    setup: 'echo 1 > f; tar cf a.tar f; echo 2 > f; tar rf a.tar f',
    files: { 'x/f': file('2\n') },
  },
  {
    name: 'names that mean something in layers mean nothing in archives',
    dockerfile: 'FROM @busybox\nADD a.tar /x\n',
    setup: 'mkdir in; echo f > in/f; tar cf a.tar -C in f',
    files: { 'x/f': {}, 'etc/passwd': {} },
  },
  {
    name: 'a hard link of an archive to a file of the image',
    dockerfile: 'FROM @busybox\nCOPY x /x/\nADD a.tar /x\n',
    setup:
      'mkdir x; echo f > x/f; python3 -c \'import tarfile; t=tarfile.open("a.tar","w"); i=tarfile.TarInfo("h"); i.type=tarfile.LNKTYPE; i.linkname="f"; t.addfile(i); t.close()\'',
    files: { 'x/f': file('f\n'), 'x/h': file('f\n', { sameAs: 'x/f' }) },
    lastLayer: ['x', 'x/f', 'x/h'],
  },
  {
    name: 'a file of an archive in place of a directory of the image',
    dockerfile: 'FROM scratch\nCOPY x /x/\nADD a.tar /x\n',
    setup: 'mkdir -p x/d/e; touch x/d/e/f; echo file > d; tar cf a.tar d',
    files: { 'x/d': file('file\n'), 'x/d/e': null },
  },
  {
    name: 'a long name and a long link',
    dockerfile: 'FROM scratch\nADD gnu.tar /x\nADD pax.tar /y\n',
    setup:
      'n=$(printf "n%.0s" $(seq 120)); mkdir -p in/$n/$n; echo f > in/$n/$n/f; ln -s $n/$n/$n in/l; tar --format=gnu -cf gnu.tar -C in .; tar --format=pax -cf pax.tar -C in .',
    files: {
      [`x/${'n'.repeat(120)}/${'n'.repeat(120)}/f`]: file('f\n'),
      [`y/${'n'.repeat(120)}/${'n'.repeat(120)}/f`]: file('f\n'),
      'x/l': { type: 'symlink' },
    },
  },
  {
    name: 'xattrs of an archive',
    dockerfile: 'FROM scratch\nADD a.tar /x\n',
    setup: 'echo f > f; setfattr -n user.note -v hello f; tar --xattrs --format=pax -cf a.tar f',
    files: { 'x/f': { xattrs: { 'user.note': 'hello' } } },
  },
];

const notArchives: LanguageCase[] = [
  {
    name: 'a compressed file that is no archive is copied as it is',
    dockerfile: 'FROM scratch\nADD f.gz f.bz2 f.xz f.zst /x/\n',
    setup: 'echo plain > f; gzip -k f; bzip2 -k f; xz -k f; zstd -qk f',
    lists: { x: ['f.bz2', 'f.gz', 'f.xz', 'f.zst'] },
  },
  {
    name: 'what is only called an archive is copied as it is',
    dockerfile: 'FROM scratch\nADD fake.tar.gz empty.tar /x/\n',
    setup: 'echo text > fake.tar.gz; : > empty.tar',
    files: { 'x/fake.tar.gz': file('text\n'), 'x/empty.tar': file('') },
  },
  {
    name: 'a tar without a member is copied as it is',
    dockerfile: 'FROM scratch\nADD a.tar /x/\n',
    setup: 'tar cf a.tar -T /dev/null',
    lists: { x: ['a.tar'] },
  },
  {
    name: 'a damaged gzip header is copied as it is',
    dockerfile: 'FROM scratch\nADD a.gz /x/\n',
    setup: 'printf "\\037\\213\\010garbage" > a.gz',
    lists: { x: ['a.gz'] },
  },
  {
    name: 'a zip is copied as it is',
    dockerfile: 'FROM scratch\nADD a.zip /x/\n',
    setup: "python3 -c \"import zipfile; zipfile.ZipFile('a.zip','w').writestr('f','f')\"",
    lists: { x: ['a.zip'] },
  },
  {
    name: 'a file, a directory and a wildcard, as COPY does',
    dockerfile: 'FROM scratch\nADD f /x/\nADD d /y\nADD *.txt /z/\nADD --chmod=600 --chown=5 f /g\n',
    context: { f: 'f', 'd/a': 'a', 'one.txt': '1', 'two.txt': '2' },
    files: {
      'x/f': file('f'),
      'y/a': file('a'),
      'z/one.txt': {},
      'z/two.txt': {},
      g: attributes('600', '5:5'),
    },
    history: [
      'ADD f /x/ # buildkit',
      'ADD d /y # buildkit',
      'ADD *.txt /z/ # buildkit',
      'ADD --chown=5 --chmod=600 f /g # buildkit',
    ],
  },
  {
    name: 'ADD --exclude and --link',
    dockerfile: 'FROM scratch\nADD --exclude=*.md d /x/\nADD --link d/a /y/\n',
    context: { 'd/a': 'a', 'd/b.md': 'b' },
    lists: { x: ['a'], y: ['a'] },
  },
];

/** Writes a.tar with Python: members as (name, type, link or text). */
function hostile(...members: readonly string[]): string {
  const lines = members.map((member) => {
    const [name = '', kind = 'file', target = ''] = member.split('|');
    const type = { file: 'REGTYPE', symlink: 'SYMTYPE', hardlink: 'LNKTYPE' }[kind];
    const data = kind === 'file' ? 'd=b"bad\\n"; i.size=len(d); t.addfile(i,io.BytesIO(d))' : 't.addfile(i)';
    return `i=tarfile.TarInfo("${name}"); i.type=tarfile.${type}; i.linkname="${target}"; ${data}`;
  });
  return `python3 -c '
import tarfile,io
t=tarfile.open("a.tar","w")
${lines.join('\n')}
t.close()'`;
}

const hostiles: LanguageCase[] = [
  {
    name: 'an absolute name is below the destination',
    dockerfile: 'FROM scratch\nADD a.tar /x\n',
    setup: hostile('/abs/f'),
    files: { 'x/abs/f': file('bad\n'), abs: null },
  },
  {
    name: 'a name that climbs is refused',
    dockerfile: 'FROM scratch\nADD a.tar /x\n',
    setup: hostile('../../up'),
    error: fails('LAYER_UNSAFE_PATH', 1, { line: 2, message: /\.\.\/\.\.\/up/ }),
  },
  {
    name: 'a name through an absolute symlink stays in the destination',
    dockerfile: 'FROM scratch\nADD a.tar /x\n',
    setup: hostile('l|symlink|/tmp', 'l/kiln-escape'),
    files: { 'x/l': symlink('/tmp'), 'x/tmp/kiln-escape': file('bad\n'), tmp: null },
  },
  {
    name: 'a name through a symlink that climbs is refused',
    dockerfile: 'FROM scratch\nADD a.tar /x\n',
    setup: hostile('l|symlink|../../../../tmp', 'l/kiln-escape'),
    error: fails('LAYER_UNSAFE_PATH', 1, { line: 2, message: /l\/kiln-escape/ }),
  },
  {
    name: 'a symlink that climbs is no harm by itself',
    dockerfile: 'FROM scratch\nADD a.tar /x/y\n',
    setup: hostile('l|symlink|../../../../tmp', 'd/m|symlink|../f', 'd/n|symlink|..', 'd/n/f'),
    files: { 'x/y/l': symlink('../../../../tmp'), 'x/y/f': file('bad\n') },
  },
  {
    name: 'a hard link to what is outside is refused',
    dockerfile: 'FROM scratch\nADD a.tar /x\n',
    setup: hostile('h|hardlink|../../etc/passwd'),
    error: fails('LAYER_UNSAFE_PATH', 1, { line: 2 }),
  },
  {
    name: 'a hard link to nothing',
    dockerfile: 'FROM scratch\nADD a.tar /x\n',
    setup: hostile('h|hardlink|none'),
    error: fails('LAYER_CORRUPT', 1, { line: 2, message: /none/ }),
  },
  {
    name: 'an archive cut short',
    dockerfile: 'FROM scratch\nADD a.tar /x\n',
    setup: 'head -c 5000 /dev/zero > f; tar cf b.tar f; head -c 2000 b.tar > a.tar',
    error: fails('LAYER_TRUNCATED', 1, { line: 2 }),
  },
  {
    name: 'a compressed archive cut short',
    dockerfile: 'FROM scratch\nADD a.tar.gz /x\n',
    setup: 'head -c 500000 /dev/urandom > f; tar czf b.tar.gz f; head -c 200000 b.tar.gz > a.tar.gz',
    error: fails('LAYER_TRUNCATED', 1, { line: 2 }),
  },
  {
    name: 'an archive onto a file',
    dockerfile: 'FROM @busybox\nADD a.tar /etc/passwd\n',
    setup: 'echo a > a; tar cf a.tar a',
    error: fails('COPY_NOT_A_DIRECTORY', 1, { line: 2 }),
  },
  {
    name: '--checksum of a local file',
    dockerfile: `FROM scratch\nADD --checksum=sha256:${'0'.repeat(64)} f /x\n`,
    context: { f: '' },
    error: fails('DOCKERFILE_CHECKSUM', 2, { line: 2 }),
  },
  {
    name: 'ADD --from',
    dockerfile: 'FROM scratch AS a\nFROM scratch\nADD --from=a f /x\n',
    error: fails('DOCKERFILE_UNKNOWN_FLAG', 2, { line: 3 }),
  },
  {
    name: 'COPY --checksum',
    dockerfile: 'FROM scratch\nCOPY --checksum=x f /x\n',
    error: fails('DOCKERFILE_UNKNOWN_FLAG', 2, { line: 2 }),
  },
];

export const cases: readonly LanguageCase[] = [...kinds, ...archives, ...notArchives, ...hostiles];
