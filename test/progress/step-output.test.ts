import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linesOf } from '../../src/progress/step-output.ts';

function collect(chunks: readonly (string | Uint8Array)[], clock = () => 0) {
  const events: string[] = [];
  const output = linesOf({ keep: 3, emit: (stream, text) => events.push(`${stream}:${text}`), now: clock });
  for (const chunk of chunks) output.write('stdout', typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
  output.end();
  return { events, tail: output.tail() };
}

describe('lines of a process', () => {
  it('are emitted together when they arrive together', () => {
    expect(collect(['a\nb\nc', 'd\n', 'e'])).toEqual({
      events: ['stdout:a\nb', 'stdout:cd', 'stdout:e'],
      tail: ['b', 'cd', 'e'],
    });
  });

  it('keep empty lines', () => {
    expect(collect(['\n\na\n\n']).events).toEqual(['stdout:\n\na\n']);
  });

  it('are the same however the bytes are cut', () => {
    const cuts = fc.array(fc.nat(60), { maxLength: 10 });
    const text = fc.array(fc.constantFrom('é', '漢', '👍', 'a', '\n', '\r\n', ' '), { maxLength: 30 });
    fc.assert(
      fc.property(text, cuts, (parts, places) => {
        const bytes = Buffer.from(parts.join(''));
        const ends = [...places, bytes.length].sort((a, b) => a - b);
        const chunks = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
        const lines = collect(chunks).events.flatMap((event) => event.replace('stdout:', '').split('\n'));
        const expected = parts.join('').split(/\r?\n/);
        if (expected.at(-1) === '') expected.pop();
        expect(lines).toEqual(expected);
      }),
    );
  });

  it('hold two streams apart and their tail in order', () => {
    const events: string[] = [];
    const output = linesOf({
      keep: 5,
      emit: (stream, text) => events.push(`${stream}:${text}`),
      now: () => 0,
    });
    output.write('stdout', Buffer.from('out '));
    output.write('stderr', Buffer.from('error\n'));
    output.write('stdout', Buffer.from('put\n'));
    output.end();
    expect(events).toEqual(['stderr:error', 'stdout:out put']);
    expect(output.tail()).toEqual(['error', 'out put']);
  });

  it('show the last state of a progress bar', () => {
    expect(collect(['10%\r20%\r', '30%\rdone\nnext\n'])).toEqual({
      events: ['stdout:done\nnext'],
      tail: ['done', 'next'],
    });
    expect(collect(['\r10%\r100%\r\n']).events).toEqual(['stdout:100%']);
    expect(collect(['100%\r\x1b[K\n']).events).toEqual(['stdout:100%']);
    expect(collect(['50%\r60%']).events).toEqual(['stdout:60%']);
    expect(collect(['50%\r']).events).toEqual(['stdout:50%']);
  });

  it('show a progress bar about once a second, and keep only its last state', () => {
    let time = 0;
    const clock = () => {
      time += 100;
      return time;
    };
    const bar = Array.from({ length: 40 }, (_, index) => `${index}%\r`);
    const { events, tail } = collect([...bar, 'done\n'], clock);
    expect(events.length).toBeGreaterThan(2);
    expect(events.length).toBeLessThan(6);
    expect(events.at(-1)).toBe('stdout:done');
    expect(tail).toEqual(['done']);
  });

  it('are cut in pieces when endless, without losing a byte', () => {
    const { events } = collect(['x', '👍'.repeat(1_300_000), '\n']);
    const pieces = events.flatMap((event) => event.replace('stdout:', '').split('\n'));
    expect(pieces.length).toBe(3);
    expect(pieces.join('') === `x${'👍'.repeat(1_300_000)}`).toBe(true);
    expect(pieces.every((piece) => piece.isWellFormed())).toBe(true);
  });

  it('are redacted before anyone sees them', () => {
    const events: string[] = [];
    const output = linesOf({
      keep: 5,
      emit: (_, text) => events.push(text),
      redact: (line) => line.replaceAll('hunter2', '***'),
      now: () => 0,
    });
    output.write('stdout', Buffer.from('a hunt'));
    output.write('stdout', Buffer.from('er2 b\nc hunter2'));
    output.end();
    expect(events).toEqual(['a *** b', 'c ***']);
    expect(output.tail()).toEqual(['a *** b', 'c ***']);
  });
});
