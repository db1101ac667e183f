/**
 * Progress for pipes and CI: append-only, no escape sequences, nothing clipped, every line names its step.
 * The shape is that of docker's plain progress (`#3 [builder 2/5] RUN make`, `#3 1.23 text`, `#3 DONE 1.2s`,
 * `#3 CACHED`, `#3 ERROR: …`), so that tools that read it keep working.
 */
import type { BuildEvent, Reporter, StepLabel } from './event.ts';
import { oneLine, safeLines, stripControls } from './printable.ts';
import type { SectionMarks } from './sections.ts';
import { amount, explanation, seconds, summaryLines, warningLine, warningSummary } from './units.ts';

type EventOf<T extends BuildEvent['type']> = Extract<BuildEvent, { type: T }>;

/** What a text reporter writes to; process.stderr is one. */
export interface TextStream {
  write(text: string): unknown;
}

export interface PlainReporterOptions {
  readonly stream: TextStream;
  /** Collapsible sections, when the CI system has them. */
  readonly sections?: SectionMarks | undefined;
}

interface Step {
  readonly number: number;
  startedAt: number;
  running: boolean;
  named: boolean;
  /** When progress was last printed. */
  progressAt: number;
}

/** A log is no place for a progress bar: a sign of life every few seconds will do. */
const PROGRESS_INTERVAL = 5000;

/** Prints one line an event; see the top of this file. */
export class PlainReporter implements Reporter {
  readonly #stream: TextStream;
  readonly #sections: SectionMarks | undefined;
  readonly #steps = new Map<string, Step>();
  readonly #warnings: EventOf<'warning'>[] = [];
  /** Number of the step whose section is open. */
  #section: number | undefined;

  constructor({ stream, sections }: PlainReporterOptions) {
    this.#stream = stream;
    this.#sections = sections;
  }

  handle(event: BuildEvent): void {
    switch (event.type) {
      case 'build-started':
        this.#print([startLine(event)]);
        break;
      case 'step-started':
        this.#start(event.step, event.at);
        break;
      case 'step-output':
        this.#output(event);
        break;
      case 'step-progress':
        this.#progress(event);
        break;
      case 'step-finished':
      case 'step-failed':
        this.#end(event);
        break;
      case 'step-explained':
        this.#explain(event);
        break;
      case 'warning':
        this.#warnings.push(event);
        this.#print(safeLines(`WARNING: ${warningLine(event)}`));
        break;
      case 'note':
        this.#print(safeLines(`note: ${event.message}`));
        break;
      case 'build-finished':
        this.#print([...this.#warningSummary(), ...summaryLines(event).map(oneLine)]);
        break;
      case 'build-failed':
        this.#print([...this.#warningSummary(), `failed after ${seconds(event.duration)}`]);
        break;
    }
  }

  close(): void {
    this.#closeSection();
  }

  #start(label: StepLabel, at: number): void {
    const step = this.#stepOf(label.id, at);
    step.startedAt = at;
    step.progressAt = at;
    step.running = true;
    this.#name(step, label);
  }

  /** Names a step once. */
  #name(step: Step, label: StepLabel): void {
    if (step.named) return;
    step.named = true;
    this.#print([`#${step.number} ${oneLine(`${label.prefix} ${label.name}`)}`]);
  }

  /** Comes before the step begins, so that it names the step itself. */
  #explain(event: EventOf<'step-explained'>): void {
    const step = this.#stepOf(event.step.id, event.at);
    this.#name(step, event.step);
    this.#print([`#${step.number} cache ${oneLine(explanation(event))}`]);
  }

  #output(event: EventOf<'step-output'>): void {
    const step = this.#stepOf(event.step, event.at);
    const time = ((event.at - step.startedAt) / 1000).toFixed(2);
    const lines = event.text
      .split('\n')
      .map((line) => `#${step.number} ${time} ${stripControls(line)}`.trimEnd());
    this.#openSection(step);
    this.#write(lines);
  }

  #progress(event: EventOf<'step-progress'>): void {
    const step = this.#stepOf(event.step, event.at);
    if (event.at - step.progressAt < PROGRESS_INTERVAL) return;
    step.progressAt = event.at;
    this.#print([`#${step.number} ${((event.at - step.startedAt) / 1000).toFixed(2)} ${amount(event)}`]);
  }

  #end(event: EventOf<'step-finished'> | EventOf<'step-failed'>): void {
    // A step found in the cache may never have been started.
    if (!this.#steps.has(event.step.id)) this.#start(event.step, event.at);
    const step = this.#stepOf(event.step.id, event.at);
    step.running = false;
    this.#print(endLines(event).map((line) => `#${step.number} ${line}`.trimEnd()));
  }

  #stepOf(id: string, at: number): Step {
    const known = this.#steps.get(id);
    if (known !== undefined) return known;
    const step = {
      number: this.#steps.size + 1,
      startedAt: at,
      running: false,
      named: false,
      progressAt: at,
    };
    this.#steps.set(id, step);
    return step;
  }

  #warningSummary(): string[] {
    const line = warningSummary(this.#warnings);
    return line === undefined ? [] : [oneLine(line)];
  }

  #openSection(step: Step): void {
    if (this.#section === step.number) return;
    this.#closeSection();
    const running = [...this.#steps.values()].filter((other) => other.running);
    if (this.#sections === undefined || running.length !== 1 || running[0] !== step) return;
    this.#section = step.number;
    this.#stream.write(this.#sections.open(step.number));
  }

  #closeSection(): void {
    if (this.#section === undefined || this.#sections === undefined) return;
    this.#stream.write(this.#sections.close(this.#section));
    this.#section = undefined;
  }

  /** Lines that are no output of a step: they are never folded away. */
  #print(lines: readonly string[]): void {
    this.#closeSection();
    this.#write(lines);
  }

  #write(lines: readonly string[]): void {
    // One write for all of them, so that a log shared with other processes keeps them together.
    this.#stream.write(`${lines.join('\n')}\n`);
  }
}

/** "#0 building Dockerfile for linux/amd64, target builder". */
function startLine(event: EventOf<'build-started'>): string {
  const target = event.target === undefined ? '' : `, target ${event.target}`;
  return oneLine(`#0 building ${event.dockerfile} for ${event.platform}${target}`);
}

function endLines(event: EventOf<'step-finished'> | EventOf<'step-failed'>): string[] {
  if (event.type === 'step-failed') {
    const lines = safeLines(event.message);
    return [`ERROR: ${lines[0] ?? ''} (after ${seconds(event.duration)})`, ...lines.slice(1)];
  }
  const note = event.note === undefined ? '' : ` (${oneLine(event.note)})`;
  return [event.outcome === 'cached' ? `CACHED${note}` : `DONE ${seconds(event.duration)}${note}`];
}
