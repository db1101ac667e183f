/** Variables: forms, quotes, scopes, inheritance. Expected values from the Dockerfile reference and Go's shell lexer. */
import { fails, file, type LanguageCase, note } from './case.ts';

/** A word, what it becomes with full=value, path=/a/b/c.tar.gz, empty= and unset not there. */
const WORDS: readonly (readonly [word: string, result: string])[] = [
  ['$full', 'value'],
  ['${full}', 'value'],
  ['${full}s', 'values'],
  ['$full.txt', 'value.txt'],
  ['$fulls', ''],
  ['$unset', ''],
  ['a${unset}b', 'ab'],
  ['${unset:-word}', 'word'],
  ['${empty:-word}', 'word'],
  ['${full:-word}', 'value'],
  ['${unset-word}', 'word'],
  ['${empty-word}', ''],
  ['${full-word}', 'value'],
  ['${unset:+word}', ''],
  ['${empty:+word}', ''],
  ['${full:+word}', 'word'],
  ['${unset+word}', ''],
  ['${empty+word}', 'word'],
  ['${full:?msg}', 'value'],
  ['${empty?msg}', ''],
  ['${unset:-$full}', 'value'],
  ['${unset:-${empty:-${full}}}', 'value'],
  ['${unset:-}', ''],
  ['${path#*/}', 'a/b/c.tar.gz'],
  ['${path##*/}', 'c.tar.gz'],
  ['${path%.*}', '/a/b/c.tar'],
  ['${path%%.*}', '/a/b/c'],
  ['${path#nothing}', '/a/b/c.tar.gz'],
  ['${path/a/x}', '/x/b/c.tar.gz'],
  ['${path//a/x}', '/x/b/c.txr.gz'],
  ['${path//./-}', '/a/b/c-tar-gz'],
  ['${full/?/X}', 'Xalue'],
  ['\\$full', '$full'],
  ['\\${full}', '${full}'],
  ["'$full'", '$full'],
  ['"$full"', 'value'],
  ['"a b"', 'a b'],
  ["'a b'", 'a b'],
  ['a\\ b', 'a b'],
  ['"a\\"b"', 'a"b'],
  ['"a\\\\b"', 'a\\b'],
  ['"\\$full"', '$full'],
  ['\'a\'"b"c', 'abc'],
  ['"it\'s"', "it's"],
  ['\'say "x"\'', 'say "x"'],
  ['""', ''],
  ['$', '$'],
  ['a$', 'a$'],
  ['$1', ''],
  ['x=y=z', 'x=y=z'],
  ['ünï${full}', 'ünïvalue'],
];

const words: LanguageCase[] = WORDS.map(([word, result]) => ({
  name: `ENV out=${word}`,
  dockerfile: `FROM scratch\nENV full=value path=/a/b/c.tar.gz empty=\nENV out=${word}\nLABEL out=${word}\n`,
  config: {
    Env: [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'full=value',
      'path=/a/b/c.tar.gz',
      'empty=',
      `out=${result}`,
    ],
    Labels: { out: result },
  },
}));

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const scopes: LanguageCase[] = [
  {
    name: 'values of one ENV see what was before it',
    dockerfile: 'FROM scratch\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\n',
    config: { Env: [PATH, 'abc=bye', 'def=hello', 'ghi=bye'] },
  },
  {
    name: 'args of one ARG see the ones before them',
    dockerfile: 'FROM scratch\nARG a=1 b=${a}2\nLABEL ab=$a-$b\n',
    config: { Labels: { ab: '1-12' } },
    history: [note('ARG a=1 b=12'), note('LABEL ab=1-12')],
  },
  {
    name: 'old ENV form takes the rest of the line',
    dockerfile: 'FROM scratch\nENV a  one two   three\nENV b "x y"\n',
    config: { Env: [PATH, 'a=one two   three', 'b=x y'] },
  },
  {
    name: 'ENV keys expand too',
    dockerfile: 'FROM scratch\nARG k=NAME\nENV $k=1 ${k}_2=2\n',
    config: { Env: [PATH, 'NAME=1', 'NAME_2=2'] },
  },
  {
    name: 'ENV of an existing name keeps its place',
    dockerfile: 'FROM scratch\nENV a=1 b=2\nENV a=3\n',
    config: { Env: [PATH, 'a=3', 'b=2'] },
  },
  {
    name: 'a global ARG is not visible in a stage',
    dockerfile: 'ARG v=1\nFROM scratch\nLABEL v="[$v]"\n',
    config: { Labels: { v: '[]' } },
  },
  {
    name: 'a global ARG is visible when declared again',
    dockerfile: 'ARG v=1\nFROM scratch\nARG v\nLABEL v="[$v]"\n',
    config: { Labels: { v: '[1]' } },
    history: [note('ARG v=1'), note('LABEL v=[1]')],
  },
  {
    name: 'a default in the stage wins over the global one',
    dockerfile: 'ARG v=1\nFROM scratch\nARG v=2\nLABEL v=$v\n',
    config: { Labels: { v: '2' } },
  },
  {
    name: '--build-arg wins over both defaults',
    dockerfile: 'ARG v=1\nFROM scratch\nARG v=2\nLABEL v=$v\n',
    args: ['--build-arg', 'v=3'],
    config: { Labels: { v: '3' } },
  },
  {
    name: '--build-arg may be empty',
    dockerfile: 'FROM scratch\nARG v=2\nLABEL v="[$v]"\n',
    args: ['--build-arg', 'v='],
    config: { Labels: { v: '[]' } },
    history: [note('ARG v='), note('LABEL v=[]')],
  },
  {
    name: '--build-arg without a value takes the environment',
    dockerfile: 'FROM scratch\nARG v=2\nLABEL v=$v\n',
    args: ['--build-arg', 'v'],
    env: { v: 'from-env' },
    config: { Labels: { v: 'from-env' } },
  },
  {
    name: '--build-arg that no ARG declares changes nothing',
    dockerfile: 'FROM scratch\nLABEL v="[$v]"\n',
    args: ['--build-arg', 'v=3'],
    config: { Labels: { v: '[]' } },
  },
  {
    name: 'ARG counts from its line on',
    dockerfile: 'FROM scratch\nLABEL before="[$v]"\nARG v=1\nLABEL after="[$v]"\n',
    config: { Labels: { before: '[]', after: '[1]' } },
  },
  {
    name: 'ENV after ARG wins',
    dockerfile: 'FROM scratch\nARG v=1\nENV v=2\nLABEL v=$v\n',
    args: ['--build-arg', 'v=3'],
    config: { Labels: { v: '2' }, Env: [PATH, 'v=2'] },
  },
  {
    name: 'ENV made from an ARG',
    dockerfile: 'FROM scratch\nARG v\nENV v=${v:-v1.0.0}\n',
    config: { Env: [PATH, 'v=v1.0.0'] },
  },
  {
    name: 'ARG is not in the image',
    dockerfile: 'FROM scratch\nARG v=1\n',
    config: { Env: [PATH] },
  },
  {
    name: 'an ARG of a stage is visible in stages built on it',
    dockerfile: 'FROM scratch AS a\nARG v=1\nFROM a AS b\nFROM b\nLABEL v=$v\n',
    config: { Labels: { v: '1' } },
  },
  {
    name: 'an ARG of a stage is not visible in other stages',
    dockerfile: 'FROM scratch AS a\nARG v=1\nFROM scratch\nLABEL v="[$v]"\n',
    config: { Labels: { v: '[]' } },
  },
  {
    name: 'ENV of a stage is visible in stages built on it',
    dockerfile: 'FROM scratch AS a\nENV v=1\nFROM a\nLABEL v=$v\n',
    config: { Labels: { v: '1' }, Env: [PATH, 'v=1'] },
  },
  {
    name: 'ENV of the base image is visible',
    dockerfile: 'FROM @busybox\nLABEL p=$PATH\n',
    config: { Labels: { p: PATH.slice(5) } },
  },
  {
    name: 'ARG in FROM and in a stage name of FROM',
    dockerfile: 'ARG which=a\nFROM scratch AS a\nLABEL s=a\nFROM scratch AS b\nLABEL s=b\nFROM ${which}\n',
    args: ['--build-arg', 'which=b'],
    config: { Labels: { s: 'b' } },
  },
  {
    name: 'global ARG from a global ARG',
    dockerfile: 'ARG v=b\nARG base=${v:+stage-}$v\nFROM scratch AS stage-b\nLABEL ok=1\nFROM $base\n',
    config: { Labels: { ok: '1' } },
  },
  {
    name: 'FROM sees no ARG of a stage',
    dockerfile: 'FROM scratch AS a\nARG base=a\nFROM $base\n',
    error: fails('DOCKERFILE_EMPTY_BASE', 2, {
      line: 3,
      message: /base name \(\$base\) should not be blank/,
    }),
  },
  {
    name: 'platform ARGs must be declared',
    dockerfile: 'FROM scratch\nLABEL p="[$TARGETPLATFORM]"\n',
    config: { Labels: { p: '[]' } },
  },
  {
    name: 'platform ARGs',
    dockerfile:
      'FROM scratch\nARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT\nLABEL p="$TARGETPLATFORM $TARGETOS $TARGETARCH [$TARGETVARIANT]"\n',
    args: ['--platform', 'linux/arm/v7'],
    config: { Labels: { p: 'linux/arm/v7 linux arm [v7]' } },
    image: { architecture: 'arm', variant: 'v7', os: 'linux' },
  },
  {
    name: 'BUILDPLATFORM is this machine, TARGETPLATFORM is not',
    dockerfile:
      'FROM --platform=$BUILDPLATFORM @busybox AS b\nFROM scratch\nARG BUILDPLATFORM TARGETPLATFORM\nLABEL p="${BUILDPLATFORM%/*} $TARGETPLATFORM"\n',
    args: ['--platform', 'linux/riscv64'],
    config: { Labels: { p: 'linux linux/riscv64' } },
  },
  {
    name: 'a platform ARG with a default of its own',
    dockerfile: 'FROM scratch\nARG TARGETARCH=mine\nLABEL p=$TARGETARCH\n',
    config: { Labels: { p: 'mine' } },
  },
  {
    name: 'TARGETSTAGE is the target',
    dockerfile: 'FROM scratch AS prod\nARG TARGETSTAGE\nLABEL t=$TARGETSTAGE\n',
    config: { Labels: { t: 'prod' } },
  },
  {
    name: 'TARGETSTAGE of a stage without a name',
    dockerfile: 'FROM scratch\nARG TARGETSTAGE\nLABEL t=$TARGETSTAGE\n',
    config: { Labels: { t: 'default' } },
  },
  {
    name: 'SOURCE_DATE_EPOCH as an ARG',
    dockerfile: 'FROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL t=$SOURCE_DATE_EPOCH\n',
    env: { SOURCE_DATE_EPOCH: '1700000000' },
    config: { Labels: { t: '1700000000' } },
    image: { created: '2023-11-14T22:13:20Z' },
  },
  {
    name: 'a default that is not used is not expanded',
    dockerfile: 'FROM scratch\nARG v=${must:?is missing}\nLABEL v=$v\n',
    args: ['--build-arg', 'v=1'],
    config: { Labels: { v: '1' } },
  },
  {
    name: 'the backtick as escape',
    dockerfile: '# escape=`\nFROM scratch\nENV a=1\nLABEL x=`$a y=c:\\dir z="q`"q" `\n  w=2\n',
    config: { Labels: { x: '$a', y: 'c:\\dir', z: 'q"q', w: '2' } },
  },
  {
    name: 'where variables are expanded',
    dockerfile: `
      FROM scratch AS src
      COPY a /a
      FROM scratch
      ENV n=7 user=1000 dir=/some/where sig=SIGUSR1 file=a key=k
      EXPOSE $n/udp 80\${n}
      USER $user:\${user}
      VOLUME $dir \${dir}2
      WORKDIR $dir/x
      STOPSIGNAL $sig
      LABEL $key="$n"
      COPY --chown=$n:\${n} --chmod=64$n $file $dir/
      ADD $file \${dir}/b-$file
      COPY --from=src /$file $dir/from-src
    `,
    context: { a: 'x' },
    config: {
      ExposedPorts: { '7/udp': {}, '807/tcp': {} },
      User: '1000:1000',
      Volumes: { '/some/where': {}, '/some/where2': {} },
      WorkingDir: '/some/where/x',
      StopSignal: 'SIGUSR1',
      Labels: { k: '7' },
    },
    files: {
      'some/where/a': file('x', { owner: '7:7', mode: '647' }),
      'some/where/b-a': file('x', { owner: '0:0' }),
      'some/where/from-src': file('x'),
    },
  },
  {
    name: 'where variables are not expanded',
    dockerfile: `
      FROM scratch
      ENV v=1
      CMD echo $v
      ENTRYPOINT ["$v"]
      HEALTHCHECK CMD test $v
      SHELL ["$v"]
      MAINTAINER $v
      ONBUILD LABEL x=$v
    `,
    config: {
      Cmd: ['/bin/sh', '-c', 'echo $v'],
      Entrypoint: ['$v'],
      Healthcheck: { Test: ['CMD-SHELL', 'test $v'] },
      Shell: ['$v'],
      OnBuild: ['LABEL x=$v'],
    },
    image: { author: '$v' },
  },
  {
    name: 'RUN expands by its shell, ARG and ENV being its environment',
    dockerfile: `
      FROM @busybox
      ARG a=1
      ENV e=2 q='single $a'
      RUN echo "$a-$e-\${unset:-none}-$q" > /out
      RUN ["sh", "-c", "echo $a > /exec"]
      RUN ["/bin/echo", "$a"]
    `,
    files: { out: file('1-2-none-single $a\n'), exec: file('1\n') },
    prints: /^\S* *\$a$|\$a\n/m,
  },
  {
    name: 'proxy ARGs need no declaration and leave no trace',
    dockerfile: `
      FROM @busybox
      RUN echo "$http_proxy $HTTP_PROXY $no_proxy" > /out
      LABEL x="[$HTTP_PROXY]"
    `,
    args: ['--build-arg', 'HTTP_PROXY=http://p:1', '--build-arg', 'no_proxy=localhost'],
    files: { out: file('http://p:1 http://p:1 localhost\n') },
    config: { Labels: { x: '[]' }, Env: [PATH] },
    history: ['RUN /bin/sh -c echo "$http_proxy $HTTP_PROXY $no_proxy" > /out # buildkit', 'LABEL x=[]'],
  },
];

const titles: LanguageCase[] = [
  {
    name: 'the title of a step shows values, and keeps quotes, escapes and what has no value',
    dockerfile: `
      FROM @busybox
      ARG version=1.2
      RUN echo "v\${version}" '$version' $unset \\$version \${version%.*} >/out
      COPY f /f-$version
    `,
    context: { f: 'f' },
    prints: /RUN echo "v1\.2" '\$version' \$unset \\\$version 1 >\/out\n.*COPY f \/f-1\.2\n/s,
  },
  {
    name: 'the title of a step never shows a variable that is a secret',
    dockerfile: `
      FROM @busybox
      ENV token=not-the-secret
      RUN --mount=type=secret,id=token,env=token echo "$token" | wc -c
    `,
    args: ['--secret', 'id=token,env=KILN_TEST_TOKEN'],
    env: { KILN_TEST_TOKEN: 'hunter2' },
    prints: /env=token echo "\*\*\*\*" \| wc -c\n/,
    printsNot: /hunter2|echo "not-the-secret"/,
  },
];

const errors: LanguageCase[] = [
  {
    name: '${x:?message} of an unset variable',
    dockerfile: 'FROM scratch\nENV a="${need:?give need}"\n',
    error: fails('DOCKERFILE_EXPANSION', 2, { line: 2, message: /need: give need/ }),
  },
  {
    name: '${x?message} of an unset variable',
    dockerfile: 'FROM scratch\n\nLABEL a="${need?give need}"\n',
    error: fails('DOCKERFILE_EXPANSION', 2, { line: 3 }),
  },
  {
    name: '${x:?} of an empty variable',
    dockerfile: 'FROM scratch\nENV e=\nUSER ${e:?}\n',
    error: fails('DOCKERFILE_EXPANSION', 2, { line: 3 }),
  },
  {
    name: 'an unclosed brace',
    dockerfile: 'FROM scratch\nLABEL a=${b\n',
    error: fails('DOCKERFILE_EXPANSION', 2, { line: 2 }),
  },
  {
    name: 'an unknown modifier',
    dockerfile: 'FROM scratch\nENV b=1\nLABEL a=${b:=x}\n',
    error: fails('DOCKERFILE_EXPANSION', 2, { line: 3 }),
  },
  {
    name: 'an unclosed quote',
    dockerfile: 'FROM scratch\nLABEL a="b\n',
    error: fails('DOCKERFILE_EXPANSION', 2, { line: 2 }),
  },
];

export const cases: readonly LanguageCase[] = [...words, ...scopes, ...titles, ...errors];
