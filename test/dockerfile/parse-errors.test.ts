import { describe, expect, it } from 'vitest';
import { errorOf, linesOf, parseOne, parseText } from './read.ts';

describe('errors', () => {
  it.each([
    ['', 'DOCKERFILE_EMPTY', 'the Dockerfile cannot be empty', '1-1'],
    ['\ufeff', 'DOCKERFILE_EMPTY', 'the Dockerfile cannot be empty', '1-1'],
    ['# only\n\n', 'DOCKERFILE_EMPTY', 'file with no instructions', '1-1'],
    ['FROM a\nRUNN x', 'DOCKERFILE_UNKNOWN_INSTRUCTION', 'unknown instruction: RUNN', '2-2'],
    ['FROM a\n\nRUN cat<<EOF\nhi\nEOF', 'DOCKERFILE_UNKNOWN_INSTRUCTION', 'unknown instruction: hi', '4-4'],
    ['FROM a\n\\', 'DOCKERFILE_UNKNOWN_INSTRUCTION', 'unknown instruction: ', '2-2'],
    ['RUN a', 'DOCKERFILE_NO_STAGE', 'no build stage in current context', '1-1'],
    ['ARG a\nENV b=$a\nFROM c', 'DOCKERFILE_NO_STAGE', 'no build stage in current context', '2-2'],
    ['FROM', 'DOCKERFILE_ARGUMENTS', 'FROM requires either one or three arguments', '1-1'],
    ['FROM a b', 'DOCKERFILE_ARGUMENTS', 'FROM requires either one or three arguments', '1-1'],
    ['FROM a is b', 'DOCKERFILE_ARGUMENTS', 'FROM requires either one or three arguments', '1-1'],
    ['FROM a AS', 'DOCKERFILE_ARGUMENTS', 'FROM requires either one or three arguments', '1-1'],
    ['FROM a AS b c', 'DOCKERFILE_ARGUMENTS', 'FROM requires either one or three arguments', '1-1'],
    [
      'FROM a AS 1b',
      'DOCKERFILE_STAGE_NAME',
      'invalid name for build stage: "1b", name can\'t start with a number or contain symbols',
      '1-1',
    ],
    [
      'FROM a AS B/c',
      'DOCKERFILE_STAGE_NAME',
      'invalid name for build stage: "B/c", name can\'t start with a number or contain symbols',
      '1-1',
    ],
    ['FROM --platform=a --platform=b c', 'DOCKERFILE_FLAG', 'duplicate flag specified: --platform', '1-1'],
    ['FROM --plaform=a c', 'DOCKERFILE_UNKNOWN_FLAG', 'unknown flag: --plaform', '1-1'],
  ])('%j', (text, code, message, lines) => {
    const error = errorOf(() => parseText(text));
    expect(error).toMatchObject({ code, message, exitStatus: 2 });
    expect(linesOf(error)).toBe(lines);
    expect(error.suggestions).not.toHaveLength(0);
  });

  it.each([
    ['ENV', 'DOCKERFILE_ARGUMENTS', 'ENV requires at least one argument'],
    ['LABEL', 'DOCKERFILE_ARGUMENTS', 'LABEL requires at least one argument'],
    ['ARG', 'DOCKERFILE_ARGUMENTS', 'ARG requires at least one argument'],
    ['EXPOSE', 'DOCKERFILE_ARGUMENTS', 'EXPOSE requires at least one argument'],
    ['VOLUME', 'DOCKERFILE_ARGUMENTS', 'VOLUME requires at least one argument'],
    ['VOLUME []', 'DOCKERFILE_ARGUMENTS', 'VOLUME requires at least one argument'],
    ['ONBUILD', 'DOCKERFILE_ARGUMENTS', 'ONBUILD requires at least one argument'],
    ['HEALTHCHECK', 'DOCKERFILE_ARGUMENTS', 'HEALTHCHECK requires at least one argument'],
    ['SHELL', 'DOCKERFILE_ARGUMENTS', 'SHELL requires at least one argument'],
    ['SHELL []', 'DOCKERFILE_ARGUMENTS', 'SHELL requires at least one argument'],
    ['RUN []', 'DOCKERFILE_ARGUMENTS', 'RUN requires at least one argument'],
    ['SHELL /bin/bash -c', 'DOCKERFILE_ARGUMENTS', 'SHELL requires the arguments to be in JSON form'],
    ['WORKDIR', 'DOCKERFILE_ARGUMENTS', 'WORKDIR requires exactly one argument'],
    ['USER', 'DOCKERFILE_ARGUMENTS', 'USER requires exactly one argument'],
    ['STOPSIGNAL', 'DOCKERFILE_ARGUMENTS', 'STOPSIGNAL requires exactly one argument'],
    ['MAINTAINER', 'DOCKERFILE_ARGUMENTS', 'MAINTAINER requires exactly one argument'],
    [
      'COPY',
      'DOCKERFILE_ARGUMENTS',
      'COPY requires at least two arguments, but only one was provided. Destination could not be determined',
    ],
    [
      'COPY a',
      'DOCKERFILE_ARGUMENTS',
      'COPY requires at least two arguments, but only one was provided. Destination could not be determined',
    ],
    [
      'COPY ["a"]',
      'DOCKERFILE_ARGUMENTS',
      'COPY requires at least two arguments, but only one was provided. Destination could not be determined',
    ],
    [
      'ADD --nosuch a',
      'DOCKERFILE_ARGUMENTS',
      'ADD requires at least two arguments, but only one was provided. Destination could not be determined',
    ],
    [
      'COPY --from=$x a b',
      'DOCKERFILE_ARGUMENTS',
      'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround',
    ],
    ['COPY a <<EOF\nx\nEOF', 'DOCKERFILE_HEREDOC', 'COPY cannot accept a heredoc as a destination'],
    ['ADD a <<EOF\nx\nEOF', 'DOCKERFILE_HEREDOC', 'ADD cannot accept a heredoc as a destination'],
    ['COPY --form=x a b', 'DOCKERFILE_UNKNOWN_FLAG', 'unknown flag: --form'],
    ['COPY --unpack a b', 'DOCKERFILE_UNKNOWN_FLAG', 'unknown flag: --unpack'],
    ['ADD --from=a a b', 'DOCKERFILE_UNKNOWN_FLAG', 'unknown flag: --from'],
    ['COPY --constructor a b', 'DOCKERFILE_UNKNOWN_FLAG', 'unknown flag: --constructor'],
    ['COPY --Link a b', 'DOCKERFILE_UNKNOWN_FLAG', 'unknown flag: --Link'],
    ['COPY --chown a b c', 'DOCKERFILE_FLAG', 'missing a value on flag: --chown'],
    ['COPY --exclude a b c', 'DOCKERFILE_FLAG', 'missing a value on flag: --exclude'],
    ['COPY --link= a b', 'DOCKERFILE_FLAG', 'missing a value on flag: --link'],
    ['COPY --link=maybe a b', 'DOCKERFILE_FLAG', 'expecting boolean value for flag --link, not: maybe'],
    ['COPY --link --link a b', 'DOCKERFILE_FLAG', 'duplicate flag specified: --link'],
    ['RUN --network=bridge x', 'DOCKERFILE_FLAG', 'invalid network mode "bridge"'],
    ['RUN --security=none x', 'DOCKERFILE_FLAG', 'security "none" is not valid'],
    ['RUN --device=a,b x', 'DOCKERFILE_FLAG', "invalid field 'b' must be a key=value pair"],
    [
      "RUN --mount='a\"b' x",
      'DOCKERFILE_MOUNT',
      'failed to parse csv mounts: parse error on line 1, column 2: bare " in non-quoted-field',
    ],
    [
      'RUN --mount=from=$x,target=/a x',
      'DOCKERFILE_MOUNT',
      "'from' doesn't support variable expansion, define alias stage instead",
    ],
    ['SHELL --x ["a"]', 'DOCKERFILE_UNKNOWN_FLAG', 'unknown flag: --x'],
    ['ENV a', 'DOCKERFILE_ARGUMENTS', 'ENV must have two arguments'],
    [
      'ENV a=${x:-y z}',
      'DOCKERFILE_SYNTAX',
      'Syntax error - can\'t find = in "z}". Must be of the form: name=value',
    ],
    [
      'ENV a=b c',
      'DOCKERFILE_SYNTAX',
      'Syntax error - can\'t find = in "c". Must be of the form: name=value',
    ],
    ['ENV =b', 'DOCKERFILE_ARGUMENTS', 'ENV names can not be blank'],
    ['LABEL a=b =c', 'DOCKERFILE_ARGUMENTS', 'LABEL names can not be blank'],
    ['ARG =b', 'DOCKERFILE_ARGUMENTS', 'ARG names can not be blank'],
    [
      'RUN ["a", 1]',
      'DOCKERFILE_SYNTAX',
      'when using JSON array syntax, arrays must be comprised of strings only',
    ],
    [
      'RUN [null]',
      'DOCKERFILE_SYNTAX',
      'when using JSON array syntax, arrays must be comprised of strings only',
    ],
    [
      'CMD [["a"]]',
      'DOCKERFILE_SYNTAX',
      'when using JSON array syntax, arrays must be comprised of strings only',
    ],
    [
      'COPY ["a", {}]',
      'DOCKERFILE_SYNTAX',
      'when using JSON array syntax, arrays must be comprised of strings only',
    ],
    [
      'RUN ["<<EOF", 1]',
      'DOCKERFILE_SYNTAX',
      'when using JSON array syntax, arrays must be comprised of strings only',
    ],
    [
      'HEALTHCHECK CMD [1]',
      'DOCKERFILE_SYNTAX',
      'when using JSON array syntax, arrays must be comprised of strings only',
    ],
    ['VOLUME ["/a", ""]', 'DOCKERFILE_ARGUMENTS', 'VOLUME specified can not be an empty string'],
    ['ONBUILD ONBUILD RUN a', 'DOCKERFILE_ONBUILD', "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
    ['ONBUILD from a', 'DOCKERFILE_ONBUILD', "FROM isn't allowed as an ONBUILD trigger"],
    ['ONBUILD MAINTAINER a', 'DOCKERFILE_ONBUILD', "MAINTAINER isn't allowed as an ONBUILD trigger"],
    ['ONBUILD ENV a', 'DOCKERFILE_ARGUMENTS', 'ENV must have two arguments'],
    [
      'ONBUILD RUN [1]',
      'DOCKERFILE_SYNTAX',
      'when using JSON array syntax, arrays must be comprised of strings only',
    ],
    [
      'ONBUILD HEALTHCHECK CMD [1]',
      'DOCKERFILE_SYNTAX',
      'when using JSON array syntax, arrays must be comprised of strings only',
    ],
    ['HEALTHCHECK NONE a', 'DOCKERFILE_HEALTHCHECK', 'HEALTHCHECK NONE takes no arguments'],
    ['HEALTHCHECK foo', 'DOCKERFILE_HEALTHCHECK', 'Unknown type "FOO" in HEALTHCHECK (try CMD)'],
    ['HEALTHCHECK CMD', 'DOCKERFILE_HEALTHCHECK', 'Missing command after HEALTHCHECK CMD'],
    ['HEALTHCHECK CMD []', 'DOCKERFILE_HEALTHCHECK', 'Missing command after HEALTHCHECK CMD'],
    ['HEALTHCHECK --interval=5 CMD a', 'DOCKERFILE_HEALTHCHECK', 'time: missing unit in duration "5"'],
    ['HEALTHCHECK --interval=5x CMD a', 'DOCKERFILE_HEALTHCHECK', 'time: unknown unit "x" in duration "5x"'],
    ['HEALTHCHECK --interval=x CMD a', 'DOCKERFILE_HEALTHCHECK', 'time: invalid duration "x"'],
    [
      'HEALTHCHECK --interval=1us CMD a',
      'DOCKERFILE_HEALTHCHECK',
      'Interval "interval" cannot be less than 1ms',
    ],
    [
      'HEALTHCHECK --timeout=-1s CMD a',
      'DOCKERFILE_HEALTHCHECK',
      'Interval "timeout" cannot be less than 1ms',
    ],
    ['HEALTHCHECK --retries=-1 CMD a', 'DOCKERFILE_HEALTHCHECK', '--retries cannot be negative (-1)'],
    [
      'HEALTHCHECK --retries=a CMD a',
      'DOCKERFILE_HEALTHCHECK',
      'strconv.ParseInt: parsing "a": invalid syntax',
    ],
    [
      'HEALTHCHECK --retries=2147483648 CMD a',
      'DOCKERFILE_HEALTHCHECK',
      'strconv.ParseInt: parsing "2147483648": value out of range',
    ],
    [
      'HEALTHCHECK --interval=1s --interval=2s CMD a',
      'DOCKERFILE_FLAG',
      'duplicate flag specified: --interval',
    ],
    ['HEALTHCHECK --retry=1 CMD a', 'DOCKERFILE_UNKNOWN_FLAG', 'unknown flag: --retry'],
  ])('%s', (text, code, message) => {
    const error = errorOf(() => parseOne('RUN', `# the line above\n${text}`));
    expect(error).toMatchObject({ code, message });
    expect(linesOf(error)).toBe('3-3');
    expect(error.suggestions).not.toHaveLength(0);
  });

  it.each([
    'ENV',
    'LABEL',
    'ARG',
    'EXPOSE',
    'VOLUME',
    'USER',
    'WORKDIR',
    'STOPSIGNAL',
    'MAINTAINER',
    'CMD',
    'ENTRYPOINT',
    'ONBUILD',
  ])('%s has no flags', (keyword) => {
    const error = errorOf(() => parseOne('RUN', `${keyword} --x=y a=b`));
    expect(error).toMatchObject({ code: 'DOCKERFILE_UNKNOWN_FLAG', message: 'unknown flag: --x' });
    expect(error.suggestions).toContain('This instruction has no flags.');
  });

  it.each([
    ['FROM a\nRUNN x', 'Did you mean RUN?'],
    ['FROM a\nworkdri x', 'Did you mean workdir?'],
    ['FROM a\nCOPY --form=x a b', 'Did you mean --from?'],
    ['FROM a\nRUN --mout=x a', 'Did you mean --mount?'],
    ['FROM a\nRUN --network=hots a', 'Did you mean host?'],
  ])('%j gets the suggestion %s', (text, suggestion) => {
    expect(errorOf(() => parseText(text)).suggestions[0]).toBe(suggestion);
  });

  it('has no suggestion of a name for what is like nothing', () => {
    expect(errorOf(() => parseText('FROM a\nfrobnicate world')).suggestions.join()).not.toContain(
      'Did you mean',
    );
  });

  it('stands at the head of an instruction, without the heredoc body', () => {
    const error = errorOf(() => parseText('FROM a\nRUN --nosuch=1 \\\n <<EOF\na\nEOF\n'));
    expect(linesOf(error)).toBe('2-3');
  });
});
