/** WORKDIR and USER: paths, owners, and who a RUN is. */
import { attributes, directory, fails, file, type LanguageCase, layer, note } from './case.ts';

const workdirs: LanguageCase[] = [
  {
    name: 'WORKDIR makes its directories',
    dockerfile: 'FROM scratch\nWORKDIR /a/b\n',
    config: { WorkingDir: '/a/b' },
    files: { a: directory(), 'a/b': directory() },
    history: [layer('WORKDIR /a/b')],
  },
  {
    name: 'relative WORKDIRs add up',
    dockerfile: 'FROM scratch\nWORKDIR /a\nWORKDIR b/../c\nWORKDIR ./d/\n',
    config: { WorkingDir: '/a/c/d' },
    files: { 'a/c/d': directory(), 'a/b': null },
    history: ['WORKDIR /a', 'WORKDIR /a/c', 'WORKDIR /a/c/d'],
  },
  {
    name: 'the first relative WORKDIR begins at the root',
    dockerfile: 'FROM scratch\nWORKDIR x\n',
    config: { WorkingDir: '/x' },
  },
  {
    name: 'an absolute WORKDIR is recorded as written',
    dockerfile: 'FROM scratch\nWORKDIR /a//b/\nCOPY f .\n',
    context: { f: 'f' },
    config: { WorkingDir: '/a//b/' },
    files: { 'a/b/f': file('f') },
    history: ['WORKDIR /a//b/', 'COPY f . # buildkit'],
  },
  {
    name: 'WORKDIR with variables',
    dockerfile: 'FROM scratch\nENV d=/dir\nWORKDIR $d/${name:-x}\n',
    config: { WorkingDir: '/dir/x' },
  },
  {
    name: 'an empty WORKDIR stays where it is',
    dockerfile: 'FROM scratch\nWORKDIR /a\nWORKDIR $none\n',
    config: { WorkingDir: '/a' },
  },
  {
    name: 'WORKDIR / makes nothing',
    dockerfile: 'FROM scratch\nWORKDIR /\n',
    config: { WorkingDir: '/' },
    history: [note('WORKDIR /')],
    layers: 0,
  },
  {
    name: 'WORKDIR that is there is a layer with nothing in it',
    dockerfile: 'FROM @busybox\nWORKDIR /home\n',
    lastLayer: [],
    history: [layer('WORKDIR /home')],
    layers: 1,
  },
  {
    name: 'WORKDIR leaves what is there as it is',
    dockerfile: 'FROM @busybox\nUSER 33\nWORKDIR /tmp/new\n',
    files: { tmp: { mode: '1777', owner: '0:0' }, 'tmp/new': directory({ owner: '33:33' }) },
  },
  {
    name: 'WORKDIR is owned by USER',
    dockerfile: 'FROM @busybox\nUSER www-data:staff\nWORKDIR /a/b\nUSER 7:8\nWORKDIR c\nUSER 9\nWORKDIR d\n',
    files: {
      a: directory({ owner: '33:50' }),
      'a/b': directory({ owner: '33:50' }),
      'a/b/c': directory({ owner: '7:8' }),
      'a/b/c/d': directory({ owner: '9:9' }),
    },
  },
  {
    name: 'WORKDIR of a USER that the image does not have is made as root',
    dockerfile: 'FROM @busybox\nUSER nobodyknows\nWORKDIR /a\n',
    files: { a: directory() },
    config: { User: 'nobodyknows' },
  },
  {
    name: 'WORKDIR through a symlink',
    dockerfile: 'FROM @busybox\nRUN mkdir /real && ln -s real /link\nWORKDIR /link/x\nCOPY f .\n',
    context: { f: 'f' },
    files: { 'real/x/f': file('f') },
    config: { WorkingDir: '/link/x' },
  },
  {
    name: 'WORKDIR over a file',
    dockerfile: 'FROM @busybox\nWORKDIR /etc/passwd\n',
    error: fails('COPY_NOT_A_DIRECTORY', 1, { line: 2 }),
  },
  {
    name: 'WORKDIR is inherited',
    dockerfile: 'FROM scratch AS a\nWORKDIR /a\nFROM a\nWORKDIR b\nCOPY f .\n',
    context: { f: 'f' },
    config: { WorkingDir: '/a/b' },
    files: { 'a/b/f': file('f') },
  },
  {
    name: 'RUN begins in WORKDIR',
    dockerfile: 'FROM @busybox\nWORKDIR /a b\nRUN pwd > out\nRUN ["sh", "-c", "echo $PWD >> out"]\n',
    files: { 'a b/out': file('/a b\n/a b\n') },
  },
];

/** USER, then what `id` says. */
const USERS: readonly (readonly [user: string, ids: string])[] = [
  ['www-data', 'uid=33(www-data) gid=33(www-data) groups=33(www-data)\n'],
  ['www-data:staff', 'uid=33(www-data) gid=50(staff) groups=50(staff)\n'],
  ['33', 'uid=33(www-data) gid=33(www-data) groups=33(www-data)\n'],
  ['33:7', 'uid=33(www-data) gid=7 groups=7\n'],
  ['1234', 'uid=1234 gid=0(root) groups=0(root)\n'],
  ['1234:5678', 'uid=1234 gid=5678 groups=5678\n'],
  ['1234:staff', 'uid=1234 gid=50(staff) groups=50(staff)\n'],
  ['root', 'uid=0(root) gid=0(root) groups=0(root)\n'],
  ['0', 'uid=0(root) gid=0(root) groups=0(root)\n'],
];

const users: LanguageCase[] = [
  ...USERS.map(
    ([user, ids]): LanguageCase => ({
      name: `USER ${user}`,
      dockerfile: `FROM @busybox\nUSER ${user}\nRUN id > /tmp/id\n`,
      config: { User: user },
      files: { 'tmp/id': file(ids) },
      history: [note(`USER ${user}`), layer('RUN /bin/sh -c id > /tmp/id # buildkit')],
    }),
  ),
  {
    name: 'groups that the image gives the user, root too',
    dockerfile: `
      FROM @busybox
      RUN echo 'extra:x:77:root,www-data' >> /etc/group
      RUN id > /tmp/root
      USER www-data
      RUN id > /tmp/www
      USER www-data:staff
      RUN id > /tmp/staff
    `,
    files: {
      'tmp/root': file('uid=0(root) gid=0(root) groups=0(root),77(extra)\n'),
      'tmp/www': file('uid=33(www-data) gid=33(www-data) groups=33(www-data),77(extra)\n'),
      'tmp/staff': file('uid=33(www-data) gid=50(staff) groups=50(staff)\n'),
    },
  },
  {
    name: 'files of a RUN belong to USER',
    dockerfile: 'FROM @busybox\nUSER 33:50\nRUN mkdir /tmp/d && touch /tmp/d/f\n',
    files: { 'tmp/d': directory({ owner: '33:50' }), 'tmp/d/f': attributes('644', '33:50') },
  },
  {
    name: 'HOME is the user’s',
    dockerfile: 'FROM @busybox\nRUN echo $HOME > /tmp/root\nUSER www-data\nRUN echo $HOME > /tmp/www\n',
    files: { 'tmp/root': file('/root\n'), 'tmp/www': file('/var/www\n') },
  },
  {
    name: 'a user made by an earlier RUN',
    dockerfile:
      'FROM @busybox\nRUN echo me:x:1500:1500::/:/bin/sh >> /etc/passwd\nUSER me\nRUN id -un > /tmp/id\n',
    files: { 'tmp/id': file('me\n') },
  },
  {
    name: 'USER that the image does not have is refused by RUN',
    dockerfile: 'FROM @busybox\nUSER nosuch\nRUN true\n',
    error: fails('RUN_UNKNOWN_USER', 1, { line: 3, message: /unable to find user nosuch/ }),
  },
  {
    name: 'group that the image does not have is refused by RUN',
    dockerfile: 'FROM @busybox\nUSER 1:nosuch\nRUN true\n',
    error: fails('RUN_UNKNOWN_USER', 1, { line: 3, message: /unable to find group nosuch/ }),
  },
  {
    name: 'USER that nothing needs is not looked up',
    dockerfile: 'FROM scratch\nUSER nosuch:none\nCOPY f /f\n',
    context: { f: '' },
    config: { User: 'nosuch:none' },
  },
  {
    name: 'USER is inherited',
    dockerfile: 'FROM @busybox AS a\nUSER 33\nFROM a\nRUN id -u > /tmp/id\n',
    config: { User: '33' },
    files: { 'tmp/id': file('33\n') },
  },
];

export const cases: readonly LanguageCase[] = [...workdirs, ...users];
