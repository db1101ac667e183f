/** Run by terminal.test.ts inside a real terminal: builds something that is not there, slowly. */
import { existsSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createEmitter, createReporter } from '../../../src/progress/reporter.ts';
import { label } from '../events.ts';

const now = () => performance.now();
const reporter = createReporter({
  mode: 'auto',
  stream: process.stderr,
  isTTY: process.stderr.isTTY,
  env: { ...process.env, CI: undefined },
  now,
});
const emit = createEmitter({ reporter, now });

const [folder = '', ending] = process.argv.slice(2);

/** Waits until the test makes a file: a key pressed would be echoed into the view. */
async function reach(name: string): Promise<void> {
  while (!existsSync(`${folder}/${name}`)) await sleep(20);
}

const make = label('b/2', '[builder 2/3]', 'RUN make');
const fetch = label('a/1', '[app 1/2]', 'RUN apk add curl 漢字漢字漢字漢字');
emit({ type: 'build-started', dockerfile: 'Dockerfile', platform: 'linux/amd64' });
emit({
  type: 'step-finished',
  step: label('b/1', '[builder 1/3]', 'COPY . .'),
  outcome: 'cached',
  duration: 0,
});
emit({ type: 'step-started', step: make });
emit({ type: 'step-started', step: fetch });
emit({
  type: 'step-output',
  step: make.id,
  stream: 'stdout',
  text: `cc -c a.c\n${'漢字👍'.repeat(40)}\n\x1b[2J\x1b[H\x1b[31mcc -c b.c`,
});
await reach('first');
// What goes to standard output meanwhile must come out whole.
process.stdout.write('from elsewhere\n');
emit({ type: 'step-finished', step: make, outcome: 'done', duration: 1234 });
await reach('second');
if (ending === 'crash') throw new Error('crashed');
emit({ type: 'step-failed', step: fetch, duration: 2345, message: 'exit code: 1', code: 'RUN_FAILED' });
emit({ type: 'build-failed', code: 'RUN_FAILED', message: 'exit code: 1', duration: 3456 });
reporter.close();
writeSync(1, 'the end\n');
process.exit(1);
