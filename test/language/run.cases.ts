/** RUN: forms, shells, environment, network, what a layer holds, and how it fails. */
import { attributes, fails, file, type LanguageCase, layer, symlink } from './case.ts';

const forms: LanguageCase[] = [
  {
    name: 'shell form over several lines, with comments and blank lines in it',
    dockerfile:
      'FROM @busybox\nRUN echo a > /out && \\\n\n  # a comment\n  echo b >> /out && \\\n  echo "#c" >> /out\n',
    files: { out: file('a\nb\n#c\n') },
  },
  {
    name: 'exec form is not read by a shell',
    dockerfile: 'FROM @busybox\nRUN ["touch", "/a b", "/$HOME", "/*"]\n',
    files: { 'a b': {}, $HOME: {}, '*': {} },
    history: [layer('RUN touch /a b /$HOME /* # buildkit')],
  },
  {
    name: 'exec form finds its program by PATH',
    dockerfile:
      'FROM @busybox\nENV PATH=/my:/bin\nRUN mkdir /my && printf "#!/bin/sh\\necho mine > /out\\n" > /my/tool && chmod +x /my/tool\nRUN ["tool"]\n',
    files: { out: file('mine\n') },
  },
  {
    name: 'SHELL',
    dockerfile:
      'FROM @busybox\nSHELL ["/bin/sh", "-euc"]\nRUN echo "$-" > /out\nSHELL ["/bin/echo"]\nRUN is not run\nRUN ["true"]\n',
    files: { out: file(/e/) },
    history: [
      'SHELL [/bin/sh -euc]',
      layer('RUN /bin/sh -euc echo "$-" > /out # buildkit'),
      'SHELL [/bin/echo]',
      layer('RUN /bin/echo is not run # buildkit'),
      layer('RUN true # buildkit'),
    ],
    prints: /is not run/,
  },
  {
    name: 'quotes and dollars reach the shell as they are',
    dockerfile: `FROM @busybox\nENV v=env\nRUN a=sh; echo "$a \${v} \\$a '$v' $(echo sub) $((1+1))" > /out; echo '$v' >> /out\n`,
    files: { out: file("sh env $a 'env' sub 2\n$v\n") },
  },
  {
    name: 'an empty exec form',
    dockerfile: 'FROM @busybox\nRUN []\n',
    error: fails('DOCKERFILE_ARGUMENTS', 2, { line: 2 }),
  },
  {
    name: 'ENV, ARG and nothing of the caller is in the environment',
    dockerfile: 'FROM @busybox\nARG a=1\nENV e=2\nRUN env | grep -vE "^(PWD|SHLVL|OLDPWD)=" | sort > /out\n',
    env: { CALLER: 'x' },
    files: {
      out: file('HOME=/root\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\na=1\ne=2\n'),
    },
  },
  {
    name: 'stdin is empty',
    dockerfile: 'FROM @busybox\nRUN cat > /out; test ! -t 0 && test ! -t 1\n',
    files: { out: file('') },
  },
  {
    name: '--network=none has no network but lo',
    dockerfile:
      'FROM @busybox\nRUN --network=none ls /sys/class/net > /out || ip -o link > /out\nRUN --network=none cat /proc/net/dev > /dev2\n',
    files: { dev2: file(/lo:(?![\s\S]*eth)/) },
  },
  {
    name: '--network=host is the host’s',
    dockerfile: 'FROM @busybox\nRUN --network=host true\nRUN --network=default true\n',
    layers: 2,
  },
];

const layers: LanguageCase[] = [
  {
    name: 'changes, deletions and nothing else',
    dockerfile:
      'FROM @busybox\nRUN mkdir /d && echo 1 > /d/a && echo 2 > /d/b\nRUN rm /d/a && echo 3 > /d/c && chmod 600 /d/b\n',
    files: { 'd/a': null, 'd/b': file('2\n', { mode: '600' }), 'd/c': file('3\n') },
    lastLayer: ['d', 'd/.wh.a', 'd/b', 'd/c'],
  },
  {
    name: 'a RUN that changes nothing is an empty layer',
    dockerfile: 'FROM @busybox\nRUN true\n',
    lastLayer: [],
    layers: 1,
  },
  {
    name: 'a directory deleted and made again hides what was in it',
    dockerfile: 'FROM @busybox\nRUN mkdir /d && touch /d/old\nRUN rm -r /d && mkdir /d && touch /d/new\n',
    lists: { d: ['new'] },
  },
  {
    name: 'a file in place of a directory and the other way round',
    dockerfile:
      'FROM @busybox\nRUN mkdir /d && touch /d/f /f\nRUN rm -r /d /f && echo x > /d && mkdir /f && touch /f/g\n',
    files: { d: file('x\n'), 'd/f': null, 'f/g': {} },
  },
  {
    name: 'hosts, resolv.conf and hostname of the build are not in a layer',
    dockerfile: 'FROM @busybox\nRUN test -s /etc/hosts && cat /etc/resolv.conf > /dev/null && echo x > /x\n',
    lists: { etc: ['group', 'passwd'] },
    lastLayer: ['x'],
  },
  {
    name: 'an image’s own hosts file stays',
    dockerfile: 'FROM @busybox\nCOPY hosts /etc/hosts\nRUN cp /etc/hosts /seen\n',
    context: { hosts: 'mine' },
    files: { 'etc/hosts': file('mine'), seen: file(/localhost/) },
  },
  {
    name: 'links, modes, owners, fifos and times',
    dockerfile: `
      FROM @busybox
      RUN mkdir /o && cd /o && echo h > a && ln a b && ln -s ../x c && mkfifo p && mkdir -m 2755 g && chown 3:4 p && touch -h -d @1000000000 a
    `,
    files: {
      'o/a': file('h\n'),
      'o/b': { sameAs: 'o/a' },
      'o/c': symlink('../x'),
      'o/p': { type: 'fifo', owner: '3:4' },
      'o/g': attributes('2755'),
    },
  },
  {
    name: '/proc, /sys, /dev and /dev/shm are there and leave nothing',
    dockerfile:
      'FROM @busybox\nRUN test -d /proc/self && test -d /sys/kernel && test -c /dev/null && echo x > /dev/shm/x && echo y > /dev/null\n',
    lastLayer: [],
  },
];

const failures: LanguageCase[] = [
  {
    name: 'a command that fails',
    dockerfile: 'FROM @busybox\nRUN true\nRUN echo before >&2; exit 7\nRUN touch /never\n',
    error: fails('RUN_FAILED', 1, { line: 3, message: /exit code: 7/ }),
    prints: /before/,
  },
  {
    name: 'a command that is not there',
    dockerfile: 'FROM @busybox\nRUN nosuchcommand\n',
    error: fails('RUN_FAILED', 1, { line: 2, message: /exit code: 127/ }),
  },
  {
    name: 'a program that is not there',
    dockerfile: 'FROM @busybox\nRUN ["/nosuchprogram"]\n',
    error: fails('RUN_', 1, { line: 2, message: /nosuchprogram/ }),
  },
  {
    name: 'a shell that is not there',
    dockerfile: 'FROM scratch\nRUN true\n',
    error: fails('RUN_', 1, { line: 2, message: /\/bin\/sh/ }),
  },
  {
    name: 'a command killed by a signal',
    dockerfile: 'FROM @busybox\nRUN sh -c "kill -9 \\$\\$"; exit $?\n',
    error: fails('RUN_FAILED', 1, { line: 2, message: /exit code: 137/ }),
  },
  {
    name: 'an unknown network',
    dockerfile: 'FROM @busybox\nRUN --network=nine true\n',
    error: fails('DOCKERFILE_', 2, { line: 2 }),
  },
  {
    name: '--security=insecure',
    dockerfile: 'FROM @busybox\nRUN --security=insecure true\n',
    error: fails('DOCKERFILE_SECURITY', 2, { line: 2 }),
  },
  {
    name: '--device',
    dockerfile: 'FROM @busybox\nRUN --device=vendor.com/gpu=0 true\n',
    error: fails('DOCKERFILE_DEVICE', 2, { line: 2 }),
  },
  {
    name: 'a file in place of the working directory',
    dockerfile: 'FROM @busybox\nWORKDIR /w\nRUN rm -r /w && touch /w\nRUN true\n',
    error: fails('RUN_', 1, { line: 4 }),
  },
];

export const cases: readonly LanguageCase[] = [...forms, ...layers, ...failures];
