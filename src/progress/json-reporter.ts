/** Progress for programs: every event as it is, one JSON object a line (docs/progress-json.md). */
import type { BuildEvent, Reporter } from './event.ts';
import type { TextStream } from './plain-reporter.ts';

/** A reporter that writes NDJSON to the stream. */
export function createJsonReporter(stream: TextStream): Reporter {
  return {
    handle(event: BuildEvent): void {
      // JSON escapes line ends, so an event can never be more than one line.
      stream.write(`${JSON.stringify(event)}\n`);
    },
    close(): void {},
  };
}
