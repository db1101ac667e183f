/**
 * Collapsible sections of GitHub's and GitLab's log viewers around the output of a step.
 * Neither viewer can interleave sections, so one is open only while its step is the only one running.
 */

/** Writes the markers of one CI system. */
export interface SectionMarks {
  open(step: number): string;
  close(step: number): string;
}

export interface SectionOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since 1970: GitLab shows how long a section took. */
  readonly wallClock: () => number;
}

const GITHUB: SectionMarks = {
  open: (step) => `::group::#${step} output\n`,
  close: () => '::endgroup::\n',
};

/** GitLab recognises a marker only with its carriage return and erase sequence; its viewer shows neither. */
function gitlabMarks(wallClock: () => number): SectionMarks {
  const opened = new Map<number, number>();
  const mark = (kind: 'start' | 'end', name: string) =>
    `\x1b[0Ksection_${kind}:${Math.floor(wallClock() / 1000)}:${name}\r\x1b[0K`;
  return {
    open(step) {
      // A step can be interrupted by another and go on: names must not repeat.
      const part = (opened.get(step) ?? 0) + 1;
      opened.set(step, part);
      return `${mark('start', `kiln_${step}_${part}`)}#${step} output\n`;
    },
    close: (step) => `${mark('end', `kiln_${step}_${opened.get(step) ?? 1}`)}\n`,
  };
}

/** The markers of the CI system the environment names, or undefined. */
export function sectionMarks({ env, wallClock }: SectionOptions): SectionMarks | undefined {
  if (env['GITHUB_ACTIONS'] === 'true') return GITHUB;
  if (env['GITLAB_CI'] === 'true') return gitlabMarks(wallClock);
  return undefined;
}
