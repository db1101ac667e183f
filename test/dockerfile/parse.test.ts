import { describe, expect, it } from 'vitest';
import type { Command } from '../../src/dockerfile/instruction.ts';
import { parseTrigger } from '../../src/dockerfile/parse.ts';
import { errorOf, parseOne, parseText } from './read.ts';

function shell(text: string): Command {
  return { form: 'shell', text };
}

function exec(...argv: string[]): Command {
  return { form: 'exec', argv };
}

describe('commands', () => {
  it.each([
    ['RUN echo a', shell('echo a')],
    ['RUN', shell('')],
    ['RUN ["a b", "c  d"]', exec('a b', 'c  d')],
    ['RUN [ "a" , "b" ] ', exec('a', 'b')],
    ['RUN ["\\n\\t\\/\\u263a\\"\\\\"]', exec('\n\t/☺"\\')],
    ['RUN ["\\ud800"]', exec('\ufffd')],
    ['RUN ["a",]', shell('["a",]')],
    ['RUN ["a"] b', shell('["a"] b')],
    ['RUN ["a\tb"]', shell('["a\tb"]')],
    ['RUN ["c:\\x"]', shell('["c:\\x"]')],
    ["RUN ['a']", shell("['a']")],
    ['RUN [a]', shell('[a]')],
    ['RUN ["a",\\\n "b"]', exec('a', 'b')],
    ['RUN foo--bar --x=1 y', shell('foo--bar --x=1 y')],
    ['RUN --network=none -- --mount x', shell('--mount x')],
    ['RUN --network=none ["a"]', exec('a')],
    ['RUN echo "a  b"  c', shell('echo "a  b"  c')],
  ])('%j', (text, command) => {
    expect(parseOne('RUN', text).command).toEqual(command);
  });

  it.each([
    ['CMD', shell('')],
    ['CMD []', exec()],
    ['CMD ["a"]', exec('a')],
    ['CMD a b', shell('a b')],
  ])('%j', (text, command) => {
    expect(parseOne('CMD', text).command).toEqual(command);
    expect(parseOne('ENTRYPOINT', text.replace('CMD', 'ENTRYPOINT')).command).toEqual(command);
  });

  it('SHELL', () => {
    expect(parseOne('SHELL', 'SHELL ["/bin/bash", "-c"]').argv).toEqual(['/bin/bash', '-c']);
  });

  it('RUN with every flag', () => {
    const text =
      'RUN --mount=type=cache,target=/a --mount=\'type=bind,"target=/b,c"\' --network=host --security=insecure --device=vendor.com/x=y make';
    expect(parseOne('RUN', text)).toMatchObject({
      mounts: ['type=cache,target=/a', 'type=bind,"target=/b,c"'],
      network: 'host',
      security: 'insecure',
      devices: ['vendor.com/x=y'],
      command: shell('make'),
    });
    expect(parseOne('RUN', 'RUN make')).not.toHaveProperty('network');
  });
});

describe('HEALTHCHECK', () => {
  it.each([
    ['HEALTHCHECK NONE', {}],
    ['HEALTHCHECK none', {}],
    ['HEALTHCHECK --interval=x NONE', {}],
    ['HEALTHCHECK CMD a b', { command: shell('a b') }],
    ['HEALTHCHECK cmd ["a"]', { command: exec('a') }],
    ['HEALTHCHECK --interval=30s CMD a', { command: shell('a'), interval: 30e9 }],
    ['HEALTHCHECK --interval=1m30s CMD a', { command: shell('a'), interval: 90e9 }],
    ['HEALTHCHECK --timeout=1.5h CMD a', { command: shell('a'), timeout: 5400e9 }],
    ['HEALTHCHECK --start-period=1ms CMD a', { command: shell('a'), startPeriod: 1e6 }],
    ['HEALTHCHECK --start-interval=2000us CMD a', { command: shell('a'), startInterval: 2e6 }],
    ['HEALTHCHECK --interval=0 --timeout= --retries=3 CMD a', { command: shell('a'), retries: 3 }],
    ['HEALTHCHECK --retries=0 CMD a', { command: shell('a'), retries: 0 }],
  ])('%j', (text, expected) => {
    const { keyword, location, original, ...rest } = parseOne('HEALTHCHECK', text);
    expect(rest).toEqual(expected);
  });
});

describe('COPY and ADD', () => {
  const none = {
    sources: [] as string[],
    heredocs: [] as unknown[],
    link: false,
    parents: false,
    exclude: [] as string[],
  };

  it.each([
    ['COPY a b', { ...none, sources: ['a'], destination: 'b' }],
    ['COPY a\\ b /c', { ...none, sources: ['a\\', 'b'], destination: '/c' }],
    ['COPY C:\\out x', { ...none, sources: ['C:\\out'], destination: 'x' }],
    ['COPY ["test file", "/tmp"]', { ...none, sources: ['test file'], destination: '/tmp' }],
    ['COPY ["<<EOF", "/tmp"]', { ...none, sources: ['<<EOF'], destination: '/tmp' }],
    ['COPY [a b] c', { ...none, sources: ['[a', 'b]'], destination: 'c' }],
    ['COPY a--b --c d', { ...none, sources: ['a--b', '--c'], destination: 'd' }],
    ['COPY -- --a d', { ...none, sources: ['--a'], destination: 'd' }],
    ['COPY --from=x a b', { ...none, from: 'x', sources: ['a'], destination: 'b' }],
    ['COPY --from=0 a b', { ...none, from: '0', sources: ['a'], destination: 'b' }],
    ['COPY --from=x$ a b', { ...none, from: 'x$', sources: ['a'], destination: 'b' }],
    ['COPY --chown="a b" x y', { ...none, chown: 'a b', sources: ['x'], destination: 'y' }],
    ['COPY --chown=a\\ b x y', { ...none, chown: 'a b', sources: ['x'], destination: 'y' }],
    ["COPY --chown='é:ü' x y", { ...none, chown: 'é:ü', sources: ['x'], destination: 'y' }],
    [
      'COPY --chmod=0755 --link --parents x y',
      { ...none, chmod: '0755', link: true, parents: true, sources: ['x'], destination: 'y' },
    ],
    ['COPY --link=FALSE --parents=True x y', { ...none, parents: true, sources: ['x'], destination: 'y' }],
    [
      'COPY --exclude=*.a --exclude=b x y',
      { ...none, exclude: ['*.a', 'b'], sources: ['x'], destination: 'y' },
    ],
    [
      'COPY --from=x \\\n --chown=y \\\n a \\\n b',
      { ...none, from: 'x', chown: 'y', sources: ['a'], destination: 'b' },
    ],
  ])('%j', (text, expected) => {
    const { keyword, location, original, ...rest } = parseOne('COPY', text);
    expect(rest).toEqual(expected);
  });

  it.each([
    ['ADD a b', {}],
    ['ADD --checksum=sha256:1 a b', { checksum: 'sha256:1' }],
    ['ADD --keep-git-dir a b', { keepGitDir: true }],
    ['ADD --keep-git-dir=false a b', { keepGitDir: false }],
    ['ADD --unpack=true a b', { unpack: true }],
    ['ADD --unpack=false a b', { unpack: false }],
  ])('%j', (text, expected) => {
    const { keyword, location, original, ...rest } = parseOne('ADD', text);
    expect(rest).toEqual({ ...none, sources: ['a'], destination: 'b', ...expected });
  });

  it('backticks escape in flags where they are the escape', () => {
    const { instructions } = parseText('# escape=`\nFROM a\nCOPY --chown=a` b\\c x y');
    expect(instructions[1]).toMatchObject({ chown: 'a b\\c' });
  });

  it.each([
    ['COPY <<EOF /d\nhi\nEOF', [], ['EOF:hi\n']],
    ['COPY <<"EOF" /d\nhi\nEOF', [], ['EOF:hi\n']],
    ['COPY <<-EOF /d\n\thi\n\tEOF', [], ['EOF:\thi\n']],
    ['COPY << EOF /d\nhi\nEOF', [], ['EOF:hi\n']],
    ['COPY x <<A y <<B /d\na\nA\nb\nB', ['x', 'y'], ['A:a\n', 'B:b\n']],
    ['COPY <<A <<A /d\n1\nA\n2\nA', [], ['A:2\n', 'A:2\n']],
  ])('%j', (text, sources, heredocs) => {
    for (const keyword of ['COPY', 'ADD'] as const) {
      const result = parseOne(keyword, text.replace('COPY', keyword));
      expect(result.sources).toEqual(sources);
      expect(result.destination).toBe('/d');
      expect(result.heredocs.map(({ name, content }) => `${name}:${content}`)).toEqual(heredocs);
    }
  });
});

describe('values', () => {
  it.each([
    ['ENV a=b', [['a', 'b']]],
    [
      'ENV a=b c=d',
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
    ['ENV a=', [['a', '']]],
    [
      'ENV a="b c" d=\'e f\'',
      [
        ['a', '"b c"'],
        ['d', "'e f'"],
      ],
    ],
    ['ENV a=b\\ c', [['a', 'b\\ c']]],
    ['ENV "a b"=c', [['"a b"', 'c']]],
    ['ENV a=b=c', [['a', 'b=c']]],
    ['ENV a="b \\\n c"', [['a', '"b  c"']]],
    ['ENV a="\\"b"', [['a', '"\\"b"']]],
    [
      "ENV a='\\' b=c",
      [
        ['a', "'\\'"],
        ['b', 'c'],
      ],
    ],
    ['ENV a=b\\', [['a', 'b']]],
    [
      'ENV a=é b=𝒳',
      [
        ['a', 'é'],
        ['b', '𝒳'],
      ],
    ],
  ])('%j', (text, pairs) => {
    const result = parseOne('ENV', text);
    expect(result.pairs.map(({ key, value }) => [key, value])).toEqual(pairs);
    expect(result).not.toHaveProperty('legacyForm');
    expect(parseOne('LABEL', text.replace('ENV', 'LABEL')).pairs).toEqual(result.pairs);
  });

  it.each([
    ['ENV a b', 'a', 'b'],
    ['ENV a  b  c ', 'a', 'b  c'],
    ['ENV a "b c"', 'a', '"b c"'],
    ['ENV a b=c', 'a', 'b=c'],
    ['ENV F hello\\\n world', 'F', 'hello world'],
    ['ENV "a b"', '"a', 'b"'],
  ])('%j in the old form', (text, key, value) => {
    expect(parseOne('ENV', text)).toMatchObject({ pairs: [{ key, value }], legacyForm: true });
    expect(parseOne('LABEL', text.replace('ENV', 'LABEL'))).toMatchObject({
      pairs: [{ key, value }],
      legacyForm: true,
    });
  });

  it.each([
    ['ARG a', [{ name: 'a' }]],
    ['ARG a=', [{ name: 'a', value: '' }]],
    ['ARG a b=1 c="d e"', [{ name: 'a' }, { name: 'b', value: '1' }, { name: 'c', value: '"d e"' }]],
    ['ARG a=b=c', [{ name: 'a', value: 'b=c' }]],
  ])('%j', (text, args) => {
    expect(parseOne('ARG', text).args).toEqual(args);
  });

  it('splits an ARG at blanks inside braces, as BuildKit does', () => {
    expect(parseOne('ARG', 'ARG a=${b:-x y}').args).toEqual([{ name: 'a', value: '${b:-x' }, { name: 'y}' }]);
  });

  it.each([
    ['EXPOSE 80', ['80']],
    ['EXPOSE 9 80/tcp $x', ['$x', '80/tcp', '9']],
  ])('%j', (text, ports) => {
    expect(parseOne('EXPOSE', text).ports).toEqual(ports);
  });

  it.each([
    ['VOLUME /a', ['/a']],
    ['VOLUME /a /b', ['/a', '/b']],
    ['VOLUME ["/a b", " /c "]', ['/a b', '/c']],
    ['VOLUME [/a, /b]', ['[/a,', '/b]']],
  ])('%j', (text, paths) => {
    expect(parseOne('VOLUME', text).paths).toEqual(paths);
  });

  it('instructions of one argument take the rest of the line', () => {
    expect(parseOne('WORKDIR', 'WORKDIR  /a b ').path).toBe('/a b');
    expect(parseOne('WORKDIR', 'workdir "/a b"').path).toBe('"/a b"');
    expect(parseOne('USER', 'USER a:b').user).toBe('a:b');
    expect(parseOne('STOPSIGNAL', 'STOPSIGNAL SIGKILL').signal).toBe('SIGKILL');
    expect(parseOne('MAINTAINER', 'MAINTAINER me <a@b>').name).toBe('me <a@b>');
  });
});

describe('FROM', () => {
  it.each([
    ['FROM a', { image: 'a' }],
    ['FROM a AS b', { image: 'a', stageName: 'b' }],
    ['from a as B-1_x.y', { image: 'a', stageName: 'b-1_x.y' }],
    ['FROM --platform=$BUILDPLATFORM a', { image: 'a', platform: '$BUILDPLATFORM' }],
    ['FROM --platform= a', { image: 'a' }],
    ['FROM r.io:5000/x/y:1@sha256:00', { image: 'r.io:5000/x/y:1@sha256:00' }],
    ['FROM ${a:-b}', { image: '${a:-b}' }],
    ['FROM scratch AS scratch', { image: 'scratch', stageName: 'scratch' }],
  ])('%j', (text, expected) => {
    const { keyword, location, original, ...rest } = parseText(text).instructions[0] ?? expect.fail();
    expect([keyword, rest]).toEqual(['FROM', expected]);
  });

  it('may follow global ARGs', () => {
    expect(parseText('ARG a=1\nFROM b$a').instructions.map(({ keyword }) => keyword)).toEqual([
      'ARG',
      'FROM',
    ]);
  });
});

describe('ONBUILD', () => {
  it.each([
    ['ONBUILD RUN a', 'RUN a'],
    ['onbuild   run  a  b', 'run  a  b'],
    ['ONBUILD RUN a \\\n # c\n b', 'RUN a  b'],
    ['ONBUILD FOO x', 'FOO x'],
    ['ONBUILD RUN --nosuch=1 x', 'RUN --nosuch=1 x'],
    ['ONBUILD COPY <<A <<-B /d\n1\nA\n\t2\n\tB', 'COPY <<A <<-B /d\n1\nA\n\t2\nB'],
    ['ONBUILD RUN x  ', 'RUN x  '],
  ])('%j', (text, trigger) => {
    expect(parseOne('ONBUILD', text).trigger).toBe(trigger);
  });

  const location = { source: { path: 'Dockerfile', text: 'FROM a' }, startLine: 1, endLine: 1 };

  it.each([
    ['RUN a', { keyword: 'RUN', command: shell('a') }],
    ['COPY . /src', { keyword: 'COPY', destination: '/src' }],
    ['COPY <<A /d\n1\nA', { keyword: 'COPY', heredocs: [{ name: 'A', content: '1\n' }] }],
    ['ENV a="b c"', { keyword: 'ENV', pairs: [{ key: 'a', value: '"b c"' }] }],
    ['RUN a \\\n b', { keyword: 'RUN', original: 'RUN a  b' }],
  ])('reads the trigger %j', (text, expected) => {
    expect(parseTrigger(text, location)).toMatchObject({ ...expected, location });
  });

  it.each([
    ['', 'DOCKERFILE_ONBUILD', 'onbuild trigger should be a single expression'],
    ['RUN a\nRUN b', 'DOCKERFILE_ONBUILD', 'onbuild trigger should be a single expression'],
    ['FROM b', 'DOCKERFILE_ONBUILD', "FROM isn't allowed as an ONBUILD trigger"],
    ['FOO b', 'DOCKERFILE_UNKNOWN_INSTRUCTION', 'unknown instruction: FOO'],
    ['COPY a', 'DOCKERFILE_ARGUMENTS', expect.stringContaining('requires at least two arguments')],
    ['RUN <<A\n', 'DOCKERFILE_HEREDOC', 'unterminated heredoc'],
  ])('refuses the trigger %j', (text, code, message) => {
    const error = errorOf(() => parseTrigger(text, location));
    expect(error).toMatchObject({ code, message, location });
  });
});
