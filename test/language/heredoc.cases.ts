/** Here-documents of RUN, COPY and ADD. */
import { attributes, directory, fails, file, type LanguageCase, layer } from './case.ts';

const runs: LanguageCase[] = [
  {
    name: 'RUN <<EOF is read by the shell',
    dockerfile: 'FROM @busybox\nRUN <<EOF\necho one > /out\necho "$PATH" | cut -c 1-4 >> /out\nEOF\n',
    files: { out: file('one\n/usr\n') },
    history: [layer('RUN /bin/sh -c echo one > /out\necho "$PATH" | cut -c 1-4 >> /out\n # buildkit')],
  },
  {
    name: 'RUN <<EOF expands by the shell, quoted or not',
    dockerfile: `FROM @busybox\nENV v=env\nRUN <<EOF\necho $v '$v' > /a\nEOF\nRUN <<'EOF'\nv=sh; echo $v > /b\nEOF\nRUN <<"E F"\necho $v > /c\nE F\n`,
    files: { a: file('env $v\n'), b: file('sh\n'), c: file('env\n') },
  },
  {
    name: 'RUN <<EOF with SHELL',
    dockerfile: 'FROM @busybox\nSHELL ["/bin/sh", "-ec"]\nRUN <<EOF\nfalse || echo $- > /out\nEOF\n',
    files: { out: file(/e/) },
  },
  {
    name: 'RUN <<EOF with a shebang',
    dockerfile: 'FROM @busybox\nRUN <<EOF\n#!/bin/awk -f\nBEGIN { print "awk $v" > "/out" }\nEOF\n',
    files: { out: file('awk $v\n') },
    history: [layer('RUN /bin/sh -c /dev/pipes/EOF # buildkit')],
    lastLayer: ['out'],
  },
  {
    name: 'RUN <<-EOF with a shebang',
    dockerfile: 'FROM @busybox\nRUN <<-FILE\n\t#!/bin/sh\n\techo tabs > /out\n\tFILE\n',
    files: { out: file('tabs\n') },
  },
  {
    name: 'RUN <<-EOF strips tabs',
    dockerfile: "FROM @busybox\nRUN <<-EOF\n\techo 'a\tb' > /out\n\t\techo c >> /out\n\tEOF\n",
    files: { out: file('a\tb\nc\n') },
  },
  {
    name: 'RUN command <<EOF feeds the command',
    dockerfile: 'FROM @busybox\nENV v=1\nRUN cat <<EOF > /out\n$v "quoted" $(echo sub)\nEOF\n',
    files: { out: file('1 "quoted" sub\n') },
    history: ['ENV v=1', layer('RUN /bin/sh -c cat <<EOF > /out\n$v "quoted" $(echo sub)\nEOF # buildkit')],
  },
  {
    name: 'RUN command with a quoted heredoc',
    dockerfile: "FROM @busybox\nENV v=1\nRUN cat <<'EOF' > /out\n$v $(no)\nEOF\n",
    files: { out: file('$v $(no)\n') },
  },
  {
    name: 'RUN with several heredocs',
    dockerfile:
      'FROM @busybox\nRUN cat <<A > /a && cat <<B > /b && cat <<-C > /c\none\nA\ntwo\nB\n\tthree\n\tC\n',
    files: { a: file('one\n'), b: file('two\n'), c: file('three\n') },
  },
  {
    name: 'RUN with a heredoc and mounts',
    dockerfile: 'FROM @busybox\nRUN --mount=type=tmpfs,target=/t <<EOF\necho x > /t/x\ncp /t/x /out\nEOF\n',
    files: { out: file('x\n'), t: null },
  },
  {
    name: 'an instruction inside a heredoc is text',
    dockerfile:
      'FROM @busybox\nRUN cat <<EOF > /out\nFROM nowhere\n# no comment\nCOPY --bad\nEOF\nRUN true\n',
    files: { out: file('FROM nowhere\n# no comment\nCOPY --bad\n') },
    layers: 2,
  },
  {
    name: 'a heredoc that fails',
    dockerfile: 'FROM @busybox\nRUN <<EOF\nset -e\nfalse\ntrue\nEOF\n',
    error: fails('RUN_FAILED', 1, { line: 2 }),
  },
];

const copies: LanguageCase[] = [
  {
    name: 'COPY <<EOF to a file',
    dockerfile:
      'FROM scratch\nENV v=1\nCOPY <<EOF /d/out\nv is $v ${none:-default}\n"quotes" \'stay\'\nEOF\n',
    files: {
      d: directory(),
      'd/out': file('v is 1 default\n"quotes" \'stay\'\n', attributes('644')),
    },
    history: ['ENV v=1', layer('COPY <<EOF /d/out # buildkit')],
  },
  {
    name: 'COPY <<EOF to a directory takes the name',
    dockerfile: 'FROM scratch\nCOPY <<name.txt /d/\nx\nname.txt\n',
    files: { 'd/name.txt': file('x\n') },
  },
  {
    name: 'COPY with quotes around the name expands nothing',
    dockerfile: 'FROM scratch\nENV v=1\nCOPY <<"EOF" /a\n$v ${v:-} \\$v\nEOF\nCOPY <<\'EOF\' /b\n$v\nEOF\n',
    files: { a: file('$v ${v:-} \\$v\n'), b: file('$v\n') },
  },
  {
    name: 'COPY heredocs unescape a dollar',
    dockerfile: 'FROM scratch\nENV v=1\nCOPY <<EOF /a\n\\$v $v\nEOF\n',
    files: { a: file('$v 1\n') },
  },
  {
    name: 'COPY of several heredocs',
    dockerfile: 'FROM scratch\nCOPY <<one <<"two" f /d/\n1\none\n2\ntwo\n',
    context: { f: 'f' },
    files: { 'd/one': file('1\n'), 'd/two': file('2\n'), 'd/f': file('f') },
    history: [layer('COPY f <<one <<two /d/ # buildkit')],
  },
  {
    name: 'COPY <<-EOF strips tabs',
    dockerfile: 'FROM scratch\nCOPY <<-EOF /a\n\ttab\n\t\ttwo\n  spaces\n\tEOF\n',
    files: { a: file('tab\ntwo\n  spaces\n') },
  },
  {
    name: 'COPY of an empty heredoc',
    dockerfile: 'FROM scratch\nCOPY <<EOF /a\nEOF\n',
    files: { a: file('') },
  },
  {
    name: 'COPY heredoc with --chown and --chmod',
    dockerfile: 'FROM scratch\nCOPY --chmod=755 --chown=1:2 <<EOF /bin/tool\n#!/bin/sh\nEOF\n',
    files: { 'bin/tool': file('#!/bin/sh\n', attributes('755', '1:2')), bin: { mode: '755', owner: '1:2' } },
  },
  {
    name: 'COPY heredoc with a symbolic mode',
    dockerfile: 'FROM scratch\nCOPY --chmod=+x <<EOF /tool\nEOF\n',
    files: { tool: { mode: '755' } },
  },
  {
    name: 'COPY heredoc that is overwritten by the next',
    dockerfile: 'FROM scratch\nCOPY <<EOF /a\n1\nEOF\nCOPY <<EOF /a\n2\nEOF\n',
    files: { a: file('2\n') },
  },
  {
    name: 'ADD <<EOF',
    dockerfile: 'FROM scratch\nADD <<EOF /a\nx\nEOF\n',
    files: { a: file('x\n') },
    history: [layer('ADD <<EOF /a # buildkit')],
  },
  {
    name: 'ADD of a heredoc and an archive',
    dockerfile: 'FROM scratch\nADD a.tar <<f /d/\nx\nf\n',
    setup: 'echo in > in; tar cf a.tar in',
    files: { 'd/in': file('in\n'), 'd/f': file('x\n') },
  },
  {
    name: 'a heredoc in JSON form is a name',
    dockerfile: 'FROM scratch\nCOPY ["<<EOF", "/a"]\n',
    context: { '<<EOF': 'x' },
    files: { a: file('x') },
  },
  {
    name: 'the body may hold variables of ARG',
    dockerfile: 'FROM scratch\nARG v=arg\nCOPY <<EOF /a\n${v^} $v\nEOF\n',
    error: fails('DOCKERFILE_EXPANSION', 2, { line: 3 }),
  },
];

const errors: LanguageCase[] = [
  {
    name: 'a heredoc without an end',
    dockerfile: 'FROM scratch\nCOPY <<EOF /a\nx\n',
    error: fails('DOCKERFILE_HEREDOC', 2, { line: 2, message: /EOF/ }),
  },
  {
    name: 'a heredoc as the destination',
    dockerfile: 'FROM scratch\nCOPY a <<EOF\nx\nEOF\n',
    error: fails('DOCKERFILE_HEREDOC', 2, { line: 2 }),
  },
  {
    name: 'a heredoc in an instruction that has none is a word',
    dockerfile: 'FROM scratch\nLABEL a=<<EOF\nx\nEOF\n',
    error: fails('DOCKERFILE_UNKNOWN_INSTRUCTION', 2, { line: 3 }),
  },
];

export const cases: readonly LanguageCase[] = [...runs, ...copies, ...errors];
