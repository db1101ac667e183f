/** RUN --mount=type=secret and type=ssh. */
import { fails, file, type LanguageCase } from './case.ts';

const SECRET = ['--secret', 'id=s,src=@dir/context/secret'];

const secrets: LanguageCase[] = [
  {
    name: 'a secret is a file that only root may read, and leaves nothing',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s > /out && stat -c "%a %u:%g" /run/secrets/s >> /out\n',
    args: SECRET,
    context: { secret: 'hush\n' },
    files: { out: file('hush\n400 0:0\n'), 'run/secrets': null },
    lastLayer: ['out'],
  },
  {
    name: 'a secret from the environment, under another path, owner and mode',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=secret,id=e,target=/etc/my/key,uid=33,gid=50,mode=0440 cat /etc/my/key > /out && stat -c " %a %u:%g" /etc/my/key >> /out\n',
    args: ['--secret', 'id=e,env=FROM_ENV'],
    env: { FROM_ENV: 'from env' },
    files: { out: file('from env 440 33:50\n'), 'etc/my': null },
  },
  {
    name: 'a secret as a variable',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=secret,id=s,env=TOKEN test ! -e /run/secrets/s && echo "$TOKEN" > /out\n',
    args: SECRET,
    context: { secret: 'hush' },
    files: { out: file('hush\n') },
    config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] },
    printsNot: /hush/,
  },
  {
    name: 'a secret as a variable and a file',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=secret,id=s,env=TOKEN,target=/t/f echo "$TOKEN $(cat /t/f)" > /out\n',
    args: SECRET,
    context: { secret: 'hush' },
    files: { out: file('hush hush\n') },
  },
  {
    name: 'a secret named by its target, or by source',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=secret,target=/x/s cat /x/s > /a\nRUN --mount=type=secret,source=s cat /run/secrets/s > /b\nWORKDIR /w\nRUN --mount=type=secret,id=s,target=rel/s cat rel/s > /c\n',
    args: SECRET,
    context: { secret: 'hush' },
    files: { a: file('hush'), b: file('hush'), c: file('hush'), w: {} },
    lists: { w: [] },
  },
  {
    name: 'an id with slashes is a file by its last part',
    dockerfile: 'FROM @busybox\nRUN --mount=type=secret,id=a/b/c cat /run/secrets/c > /out\n',
    args: ['--secret', 'id=a/b/c,src=@dir/context/secret'],
    context: { secret: 'hush' },
    files: { out: file('hush') },
  },
  {
    name: 'a secret that is not given is not there',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=secret,id=none --mount=type=secret,id=none2,env=NONE test ! -e /run/secrets/none && test -z "${NONE+set}"\n',
    layers: 1,
  },
  {
    name: 'a required secret that is not given',
    dockerfile: 'FROM @busybox\nRUN --mount=type=secret,id=none,required cat /run/secrets/none\n',
    error: fails('RUN_SECRET_MISSING', 1, { line: 2, message: /secret none: not found/ }),
  },
  {
    name: 'a secret is not part of the cache key',
    before: ['FROM @busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s > /out\n'],
    dockerfile: 'FROM @busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s > /out\n',
    args: SECRET,
    setup: 'cat /proc/sys/kernel/random/uuid > secret',
    prints: /CACHED/,
  },
  {
    name: 'a secret for a user of a step',
    dockerfile:
      'FROM @busybox\nUSER 33\nRUN --mount=type=secret,id=s,uid=33 cat /run/secrets/s > /tmp/a\nRUN --mount=type=secret,id=s cat /run/secrets/s || echo no > /tmp/b\n',
    args: SECRET,
    context: { secret: 'hush' },
    files: { 'tmp/a': file('hush'), 'tmp/b': file('no\n') },
  },
  {
    name: 'a secret whose file is not there',
    dockerfile: 'FROM scratch\n',
    args: ['--secret', 'id=x,src=@dir/none'],
    error: fails('USAGE_', 2, { message: /none/ }),
  },
  {
    name: 'a secret mount with from',
    dockerfile: 'FROM @busybox\nRUN --mount=type=secret,id=s,from=x true\n',
    error: fails('DOCKERFILE_MOUNT', 2, { line: 2 }),
  },
];

/** An agent that answers every connection with its name. */
const AGENT = (name: string): string =>
  `python3 -c 'import socket,os,sys
s=socket.socket(socket.AF_UNIX); s.bind("../${name}.sock"); s.listen(9)
if os.fork(): sys.exit(0)
os.setsid(); s.settimeout(60)
for fd in (0,1,2): os.close(fd)
try:
  while True:
    c,_=s.accept(); c.sendall(b"${name}\\n"); c.close()
except Exception: pass' < /dev/null > /dev/null 2>&1`;

const ssh: LanguageCase[] = [
  {
    name: 'an agent’s socket',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=ssh echo "$SSH_AUTH_SOCK" > /out && stat -c "%F %a %u:%g" "$SSH_AUTH_SOCK" >> /out && nc local:$SSH_AUTH_SOCK < /dev/null >> /out || true\n',
    setup: AGENT('one'),
    args: ['--ssh', 'default=@dir/one.sock'],
    files: { out: file(/^\/run\/buildkit\/ssh_agent\.0\nsocket 600 0:0\n/), 'run/buildkit': null },
    lastLayer: ['out'],
  },
  {
    name: 'two agents: the first is the one of SSH_AUTH_SOCK',
    dockerfile:
      'FROM @busybox\nRUN --mount=type=tmpfs,target=/t --mount=type=ssh,id=a --mount=type=ssh,id=b,target=/b,mode=0666,uid=33,gid=50 echo "$SSH_AUTH_SOCK" > /out && stat -c "%a %u:%g" /b >> /out && ls /run/buildkit >> /out\n',
    setup: `${AGENT('a')}; ${AGENT('b')}`,
    args: ['--ssh', 'a=@dir/a.sock', '--ssh', 'b=@dir/b.sock'],
    files: { out: file('/run/buildkit/ssh_agent.0\n666 33:50\nssh_agent.0\n'), b: null },
  },
  {
    name: 'an agent that is not given is not there',
    dockerfile: 'FROM @busybox\nRUN --mount=type=ssh test ! -e /run/buildkit/ssh_agent.0\n',
    layers: 1,
  },
  {
    name: 'a required agent that is not given',
    dockerfile: 'FROM @busybox\nRUN --mount=type=ssh,id=x,required true\n',
    error: fails('RUN_SSH_MISSING', 1, { line: 2, message: /no SSH key "x"/ }),
  },
];

export const cases: readonly LanguageCase[] = [...secrets, ...ssh];
