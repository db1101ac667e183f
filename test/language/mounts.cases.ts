/** RUN --mount: bind, cache and tmpfs. */
import { attributes, fails, file, type LanguageCase, layer } from './case.ts';

const bind: LanguageCase[] = [
  {
    name: 'bind of the context, read-only, that leaves nothing',
    dockerfile: 'FROM @busybox\nRUN --mount=target=/src ls -a /src > /out && cat /src/d/f >> /out\n',
    context: { a: 'a', 'd/f': 'f' },
    files: { out: file('.\n..\na\nd\nf') },
    lastLayer: ['out'],
    history: [layer('RUN /bin/sh -c ls -a /src > /out && cat /src/d/f >> /out # buildkit')],
  },
  {
    name: 'bind is read-only',
    dockerfile: 'FROM @busybox\nRUN --mount=type=bind,target=/src touch /src/x\n',
    context: { a: 'a' },
    error: fails('RUN_FAILED', 1, { line: 2, message: /Read-only/ }),
  },
  {
    name: 'bind that may be written forgets what was written',
    dockerfile:
      'FROM @busybox\nRUN --mount=target=/src,rw echo new > /src/a && cp /src/a /one\nRUN --mount=target=/src,readwrite cp /src/a /two\nRUN --mount=target=/src,ro=false touch /src/x\n',
    context: { a: 'old' },
    files: { one: file('new\n'), two: file('old'), src: null },
  },
  {
    name: 'bind of one file and of one directory',
    dockerfile:
      'FROM @busybox\nRUN --mount=source=d/f,target=/x/file --mount=src=d,dst=/dir cat /x/file /dir/f > /out\n',
    context: { 'd/f': 'f' },
    files: { out: file('ff'), x: null, dir: null },
    lastLayer: ['out'],
  },
  {
    name: 'bind over what is there hides it for the step only',
    dockerfile: 'FROM @busybox\nRUN --mount=target=/etc cp /etc/a /out\n',
    context: { a: 'a' },
    files: { out: file('a'), 'etc/passwd': {} },
  },
  {
    name: 'bind from a stage, an image and a context',
    dockerfile: `
      FROM @busybox AS one
      RUN mkdir /o && echo stage > /o/f && chown 3:4 /o/f
      FROM @busybox
      RUN --mount=from=one,target=/m,source=/o cat /m/f > /a && stat -c %u:%g /m/f >> /a
      RUN --mount=from=ONE,destination=/m test -f /m/o/f
      RUN --mount=from=@busybox,target=/m,source=/etc cat /m/passwd | head -n 1 > /b
      RUN --mount=from=more,target=/m cat /m/f > /c
    `,
    args: ['--build-context', 'more=@dir/context/more'],
    context: { 'more/f': 'context' },
    files: { a: file('stage\n3:4\n'), b: file(/^root:x:0/), c: file('context') },
  },
  {
    name: 'a relative target is below WORKDIR, variables are expanded',
    dockerfile:
      'FROM @busybox\nARG s=d\nWORKDIR /w\nRUN --mount=source=$s,target=sub/${s} cat sub/d/f > out\n',
    context: { 'd/f': 'f' },
    files: { 'w/out': file('f') },
    lists: { w: ['out'] },
  },
  {
    name: 'a mount below another one, in any order',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=tmpfs,target=/a/b/t --mount=target=/a/b,rw --mount=type=tmpfs,target=/a ls /a /a/b > /out && mount | grep -c " /a" >> /out\n',
    context: { f: 'f', 't/': {} },
    files: { out: file(/\/a:\nb\n[\s\S]*f\nt\n[\s\S]*3\n/) },
    lastLayer: ['out'],
  },
  {
    name: 'the source of a bind is found through symlinks of the context',
    dockerfile: `
      FROM @busybox
      RUN --mount=source=to-dir/sub,target=/a --mount=source=to-file,target=/b --mount=source=up/sub/f,target=/c cat /a/f /b /c > /out
    `,
    context: {
      'd/sub/f': 'f',
      'to-dir': { link: 'd' },
      'to-file': { link: '/d/sub/f' },
      up: { link: '../d/../d' },
    },
    files: { out: file('fff') },
  },
  {
    name: 'bind through a symlink in the image',
    dockerfile:
      'FROM @busybox\nRUN mkdir /real && ln -s real /link\nRUN --mount=target=/link/m cp /real/m/a /out\n',
    context: { a: 'a' },
    files: { out: file('a') },
    lists: { real: [] },
  },
  {
    name: '.dockerignore holds for bind mounts',
    dockerfile: 'FROM @busybox\nRUN --mount=target=/m ls -A /m > /out\n',
    context: { '.dockerignore': '*\n!a\n', a: '', b: '' },
    files: { out: file('a\n') },
  },
  {
    name: 'a changed file of the context runs the step again, another file does not',
    dockerfile:
      'FROM @busybox\nRUN --mount=source=a,target=/m cat /m > /out && cat /proc/sys/kernel/random/uuid >> /out\n',
    before: [
      'FROM @busybox\nRUN --mount=source=a,target=/m cat /m > /out && cat /proc/sys/kernel/random/uuid >> /out\n',
    ],
    context: { a: 'a', b: 'b' },
    prints: /CACHED/,
  },
  {
    name: 'bind without a target',
    dockerfile: 'FROM @busybox\nRUN --mount=type=bind,source=a true\n',
    context: { a: '' },
    error: fails('DOCKERFILE_MOUNT', 2, { line: 2 }),
  },
  {
    name: 'bind onto the root',
    dockerfile: 'FROM @busybox\nRUN --mount=target=/ true\n',
    error: fails('DOCKERFILE_MOUNT', 2, { line: 2, message: /invalid mount target/ }),
  },
  {
    name: 'bind of what is not in the context',
    dockerfile: 'FROM @busybox\nRUN --mount=source=none,target=/m true\n',
    error: fails('RUN_MOUNT_SOURCE', 1, { line: 2, message: /none/ }),
  },
  {
    name: 'bind of what is not in the stage',
    dockerfile: 'FROM @busybox AS a\nFROM @busybox\nRUN --mount=from=a,source=none,target=/m true\n',
    error: fails('RUN_MOUNT_SOURCE', 1, { line: 3, message: /none/ }),
  },
  {
    name: 'bind from a later stage',
    dockerfile: 'FROM @busybox AS a\nRUN --mount=from=b,target=/m true\nFROM @busybox AS b\n',
    args: ['--target', 'a'],
    error: fails('DOCKERFILE_CIRCULAR', 2, { line: 2 }),
  },
  {
    name: 'bind from the stage itself',
    dockerfile: 'FROM @busybox AS a\nRUN --mount=from=a,target=/m true\n',
    error: fails('DOCKERFILE_CIRCULAR', 2, { line: 2 }),
  },
];

const CACHE = '--mount=type=cache,target=/c';

const caches: LanguageCase[] = [
  {
    name: 'a cache outlives steps and builds, and is in no layer',
    before: [`FROM @busybox\nRUN ${CACHE} echo 1 > /c/f\n`],
    dockerfile: `FROM @busybox\nRUN ${CACHE} echo 2 >> /c/f\nRUN ${CACHE} cat /c/f > /out\n`,
    files: { out: file('1\n2\n'), c: null },
    lastLayer: ['out'],
  },
  {
    name: 'caches with other ids or targets are others',
    dockerfile: `
      FROM @busybox
      RUN ${CACHE} touch /c/f
      RUN --mount=type=cache,target=/other ls -A /other > /a
      RUN --mount=type=cache,id=mine,target=/c touch /c/mine
      RUN --mount=type=cache,id=mine,target=/elsewhere ls -A /elsewhere > /b
      RUN --mount=type=cache,id=/c,target=/x ls -A /x > /d
    `,
    files: { a: file(''), b: file('mine\n'), d: file('f\n') },
  },
  {
    name: 'a cache is root’s and 0755, unless told otherwise',
    dockerfile: `
      FROM @busybox
      RUN ${CACHE} stat -c "%a %u:%g" /c > /a
      RUN ${CACHE},uid=33,gid=50,mode=0700 stat -c "%a %u:%g" /c > /b
      USER 33
      RUN ${CACHE},uid=33 touch /c/f && stat -c "%a %u:%g" /c > /tmp/c
    `,
    files: { a: file('755 0:0\n'), b: file('700 33:50\n'), 'tmp/c': file('755 33:0\n') },
  },
  {
    name: 'a cache begins with what from= has',
    dockerfile: `
      FROM @busybox AS seed
      RUN mkdir /s && echo seed > /s/f
      FROM @busybox
      RUN ${CACHE},from=seed,source=/s cat /c/f > /a && echo more >> /c/f
      RUN ${CACHE},from=seed,source=/s cat /c/f > /b
    `,
    files: { a: file('seed\n'), b: file('seed\nmore\n') },
  },
  {
    name: 'a read-only cache',
    dockerfile: `FROM @busybox\nRUN ${CACHE} touch /c/f\nRUN ${CACHE},ro ls /c > /out; touch /c/x || echo refused >> /out\n`,
    files: { out: file('f\nrefused\n') },
  },
  {
    name: 'sharing in its three ways',
    dockerfile: `
      FROM @busybox
      RUN --mount=type=cache,id=s1,target=/c,sharing=shared touch /c/f
      RUN --mount=type=cache,id=s1,target=/c,sharing=private ls /c > /a
      RUN --mount=type=cache,id=s1,target=/c,sharing=locked ls /c > /b
    `,
    files: { a: file('f\n'), b: file('f\n') },
  },
  {
    name: 'a locked cache is used by one step at a time, a private one is not shared',
    dockerfile: `
      FROM @busybox AS a
      RUN --mount=type=cache,id=l,target=/c,sharing=locked mkdir /c/busy && sleep 0.5 && rmdir /c/busy
      RUN --mount=type=cache,id=p,target=/p,sharing=private mkdir /p/busy && sleep 0.5 && rmdir /p/busy
      FROM @busybox AS b
      RUN --mount=type=cache,id=l,target=/c,sharing=locked mkdir /c/busy && sleep 0.5 && rmdir /c/busy
      RUN --mount=type=cache,id=p,target=/p,sharing=private mkdir /p/busy && sleep 0.5 && rmdir /p/busy
      FROM @busybox
      COPY --from=a /etc/passwd /a
      COPY --from=b /etc/passwd /b
    `,
  },
  {
    name: 'an unknown sharing',
    dockerfile: `FROM @busybox\nRUN ${CACHE},sharing=sharde true\n`,
    error: fails('DOCKERFILE_MOUNT', 2, { line: 2, message: /Did you mean shared/ }),
  },
];

const tmpfs: LanguageCase[] = [
  {
    name: 'tmpfs is empty each time and leaves nothing',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=tmpfs,target=/tmp/x touch /tmp/x/f && mount | grep -q "tmpfs on /tmp/x"\nRUN --mount=type=tmpfs,target=/tmp/x ls -A /tmp/x > /out\n',
    files: { out: file(''), 'tmp/x': null },
  },
  {
    name: 'tmpfs over what is there',
    dockerfile: 'FROM @busybox\nRUN --mount=type=tmpfs,target=/etc ls -A /etc > /out\n',
    files: { out: file(/^(?![\s\S]*passwd)/), 'etc/passwd': {} },
  },
  {
    name: 'tmpfs with a size',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=tmpfs,target=/t,size=1m dd if=/dev/zero of=/t/f bs=64k count=32 2>/dev/null || stat -c %s /t/f > /out\n',
    files: { out: file('1048576\n') },
  },
  {
    name: 'size of something else',
    dockerfile: 'FROM @busybox\nRUN --mount=type=cache,target=/t,size=1m true\n',
    error: fails('DOCKERFILE_MOUNT', 2, { line: 2 }),
  },
];

const errors: LanguageCase[] = [
  ['type=bnd,target=/x', /Did you mean bind/],
  ['target=/x,unknown=1', /unexpected key 'unknown'/],
  ['target=/x,trget=/y', /Did you mean target/],
  ['type=tmpfs,target=/x,uid=1', /uid not allowed/],
  ['type=secret', /one of source, target required/],
  ['target', /must be a key=value pair/],
  ['target=/x,ro=maybe', /invalid value/],
  ['type=cache,target=/x,mode=9', /mode/],
  ['type=cache,target=/x,uid=me', /uid/],
  ['from=$x,target=/x', /variable expansion/],
].map(
  ([mount, message]): LanguageCase => ({
    name: `--mount=${String(mount)} is wrong`,
    dockerfile: `FROM @busybox\nRUN --mount=${String(mount)} true\n`,
    error: fails('DOCKERFILE_MOUNT', 2, { line: 2, message: message as RegExp }),
  }),
);

const attributesKept: LanguageCase[] = [
  {
    name: 'a mount point that is there keeps its attributes',
    dockerfile:
      'FROM @busybox\nRUN mkdir -m 700 /m && chown 5:6 /m && touch -d @1000000000 /m\nRUN --mount=target=/m true\n',
    context: { a: '' },
    files: { m: attributes('700', '5:6') },
    lastLayer: [],
  },
];

export const cases: readonly LanguageCase[] = [...bind, ...caches, ...tmpfs, ...errors, ...attributesKept];
