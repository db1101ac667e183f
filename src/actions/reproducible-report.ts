/** What two builds of one Dockerfile made differently, for people, and what usually cures it. */
import type { EntryDifference } from '../layer/compare-layers.ts';
import { escapeControls } from '../progress/printable.ts';
import { toText } from '../system/byte-path.ts';
import type { TracedStep } from './build-request.ts';

export interface DifferingStep {
  readonly step: TracedStep;
  readonly entries: readonly EntryDifference[];
}

/** Paths that are named of one step; the rest is counted. */
const SHOWN = 20;

/** A block for each step: its line, where its files come from if that differs too, and its files. */
export function differenceReport(steps: readonly DifferingStep[], { path }: { path: string }): string {
  const blocks = steps.map(({ step, entries }) => {
    const origin = originOf({ step, entries }, steps);
    const lines = entries
      .slice(0, SHOWN)
      .map(({ path: name, what }) => `  /${escapeControls(toText(name))}: ${what.join(', ')}`);
    return [
      `${escapeControls(step.name.replaceAll(/\s*\n\s*/g, ' '))} (${path}:${step.line})`,
      ...(origin.length === 0
        ? []
        : [`  made by ${origin.map(({ step: other }) => `line ${other.line}`).join(', ')}`]),
      ...lines,
      ...(entries.length > SHOWN ? [`  and ${entries.length - SHOWN} more`] : []),
    ].join('\n');
  });
  return blocks.length === 0 ? '' : `${blocks.join('\n')}\n`;
}

/** Steps that made the files that a COPY or a mount took over: those with files of the same names, if any. */
function originOf(
  { step, entries }: DifferingStep,
  steps: readonly DifferingStep[],
): readonly DifferingStep[] {
  const names = new Set(entries.map(({ path }) => lastPart(path)));
  const read = steps.filter(({ step: other }) => step.from.includes(other.stage));
  const named = read.filter((other) => other.entries.some(({ path }) => names.has(lastPart(path))));
  return named.length === 0 ? read : named;
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Paths that are known to differ from run to run, and what to do about each. */
const CURES: readonly (readonly [RegExp, string])[] = [
  [
    /^var\/(?:lib\/apt\/lists|cache\/apt)(?:\/|$)/,
    'Remove apt’s lists and cache in the RUN that fills them: rm -rf /var/lib/apt/lists/* /var/cache/apt/*',
  ],
  [
    /(?:^|\/)__pycache__(?:\/|$)|\.pyc$/,
    'Keep Python from writing bytecode (ENV PYTHONDONTWRITEBYTECODE=1), or compile it with --invalidation-mode unchecked-hash.',
  ],
  [/^var\/log\/|\.log$|(?:^|\/)_logs\//, 'Remove logs in the RUN that writes them: rm -rf /var/log/*'],
  [/^var\/cache\/ldconfig\//, 'Remove /var/cache/ldconfig/aux-cache in the RUN that writes it.'],
  [
    /^etc\/(?:shadow|passwd|group|gshadow)-?$/,
    'useradd and passwd write the date: give the RUN a fixed one (ARG SOURCE_DATE_EPOCH before it).',
  ],
  [
    /^etc\/machine-id$|^var\/lib\/dbus\/machine-id$/,
    'Empty /etc/machine-id in the RUN that fills it: it is made anew on every machine.',
  ],
  [
    /\.(?:jar|war|zip|whl|gz|tgz|a)$/,
    'Archives keep times: give the tool a fixed one (ARG SOURCE_DATE_EPOCH before the RUN; gzip -n; ar D; zip -X).',
  ],
];

/** Ways out for what differs, the most general first. */
export function curesFor(steps: readonly DifferingStep[], { fixedTime }: { fixedTime: boolean }): string[] {
  const entries = steps.flatMap((step) => step.entries);
  const timed = steps.length === 0 || entries.some(({ what }) => what.includes('mtime'));
  const paths = entries.filter(({ what }) => what.some((each) => each !== 'mtime')).map(({ path }) => path);
  const known = CURES.filter(([pattern]) => paths.some((path) => pattern.test(path))).map(([, cure]) => cure);
  const rest = paths.some((path) => !CURES.some(([pattern]) => pattern.test(path)));
  return [
    ...(timed && !fixedTime
      ? ['Give the build a fixed time: --timestamp 0, or SOURCE_DATE_EPOCH=$(git log -1 --format=%ct).']
      : []),
    ...known,
    ...(rest
      ? [
          'Make the step give the same bytes: no dates, random numbers or unpinned downloads in what it writes.',
        ]
      : []),
  ];
}
