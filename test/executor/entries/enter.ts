/** Enters the namespaces as whoever runs this, with an entry file and a payload; prints the outcome as one JSON line. */
import { BuildError } from '../../../src/errors.ts';
import { enterNamespace } from '../../../src/executor/namespace.ts';

const [entry = '', payload = '{}'] = process.argv.slice(2);
const interrupt = new AbortController();
const kill = new AbortController();
process.on('SIGINT', () => {
  if (interrupt.signal.aborted) kill.abort();
  else interrupt.abort(new Error('interrupted by the test'));
});

const say = (line: unknown): void => {
  process.stdout.write(`@@${JSON.stringify(line)}\n`);
};

say({ pid: process.pid });
try {
  const value = await enterNamespace({
    payload: JSON.parse(payload) as unknown,
    env: process.env,
    signal: interrupt.signal,
    killSignal: kill.signal,
    onMessage: (message) => say({ message }),
    entry,
  });
  say({ value });
} catch (error) {
  if (error instanceof BuildError) {
    const { code, message, suggestions, output } = error;
    say({ error: { code, message, suggestions, output } });
  } else {
    say({ error: { message: error instanceof Error ? error.message : String(error) } });
  }
}
