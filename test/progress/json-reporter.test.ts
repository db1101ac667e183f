import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BuildEvent } from '../../src/progress/event.ts';
import { createJsonReporter } from '../../src/progress/json-reporter.ts';
import { anyEvents, EVERY_EVENT } from './events.ts';

function json(events: readonly BuildEvent[]): string {
  let text = '';
  const stream = {
    write(part: string) {
      text += part;
    },
  };
  const reporter = createJsonReporter(stream);
  for (const event of events) reporter.handle(event);
  reporter.close();
  return text;
}

describe('json output', () => {
  it('is every event as it was, one a line', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const lines = json([...EVERY_EVENT, ...events]).split('\n');
        expect(lines.pop()).toBe('');
        expect(lines.map((line) => JSON.parse(line))).toEqual([...EVERY_EVENT, ...events]);
      }),
    );
  });

  it('is documented with an example of every event, each with every field', () => {
    const page = readFileSync(new URL('../../docs/progress-json.md', import.meta.url), 'utf8');
    const examples = page.split('\n').filter((line) => line.startsWith('{'));
    const fields = (events: readonly object[]) => {
      const seen = new Map<string, Set<string>>();
      for (const event of events) {
        const type = 'type' in event ? String(event.type) : '';
        seen.set(type, new Set([...(seen.get(type) ?? []), ...Object.keys(event)]));
      }
      return Object.fromEntries([...seen].map(([type, names]) => [type, [...names].sort()]));
    };
    expect(fields(examples.map((line) => JSON.parse(line)))).toEqual(fields(EVERY_EVENT));
  });
});
