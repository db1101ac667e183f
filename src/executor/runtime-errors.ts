/** What an OCI runtime says when it cannot start a process, turned into something a reader can act on. Pure. */
import { BuildError } from '../errors.ts';

/** What was asked for, for the message. */
export interface FailedStart {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly user: string;
  /** The runtime's complaint, one line. */
  readonly said: string;
}

type Explain = (start: FailedStart) => BuildError;

function notFound({ argv, said }: FailedStart): BuildError {
  const command = argv[0] ?? '';
  const text = command.includes('/')
    ? `"${command}" does not exist in the image.`
    : `exec: "${command}": executable file not found in $PATH of the image.`;
  const shell = /(^|\/)(sh|bash|ash|dash)$/.test(command);
  return new BuildError('RUN_COMMAND_NOT_FOUND', text, {
    suggestions: shell
      ? [
          'The image has no shell (scratch and distroless have none): use the JSON form, RUN ["/program", "argument"], or build on an image with one.',
        ]
      : [
          'Install the program in an earlier RUN, check its spelling, or set PATH with ENV.',
          'A script in JSON form needs a first line such as #!/bin/sh, with "\\n" line ends and an interpreter that exists.',
        ],
    output: [said],
  });
}

function interpreterMissing({ argv, said }: FailedStart): BuildError {
  return new BuildError(
    'RUN_COMMAND_NOT_FOUND',
    `"${argv[0] ?? ''}" exists in the image, but what it needs to start does not: its interpreter (first line #!…) or its dynamic loader.`,
    {
      suggestions: [
        'A script with Windows line ends asks for "/bin/sh\\r": convert it to "\\n".',
        'A program linked for glibc does not start on Alpine (musl), and the other way round.',
      ],
      output: [said],
    },
  );
}

function notPermitted({ argv, said }: FailedStart): BuildError {
  return new BuildError('RUN_COMMAND_NOT_EXECUTABLE', `"${argv[0] ?? ''}" may not be executed.`, {
    suggestions: [
      `Make it executable: COPY --chmod=755 …, or RUN chmod +x ${argv[0] ?? ''} before.`,
      'A directory cannot be executed; after USER the program and the directories above it must be readable by that user.',
    ],
    output: [said],
  });
}

function wrongFormat({ argv, said }: FailedStart): BuildError {
  return new BuildError(
    'RUN_WRONG_ARCHITECTURE',
    `"${argv[0] ?? ''}" cannot run on this machine: its format is of another processor architecture, or it is a script without a first line #!….`,
    {
      suggestions: [
        'Choose the platform of this machine: --platform, or FROM --platform=$BUILDPLATFORM.',
        'To run foreign programs install emulation: apt-get install qemu-user-static binfmt-support.',
      ],
      output: [said],
    },
  );
}

function badDirectory({ cwd, user, said }: FailedStart): BuildError {
  return new BuildError(
    'RUN_BAD_WORKDIR',
    `The working directory ${cwd} cannot be entered by user ${user}.`,
    {
      suggestions: [
        'Check WORKDIR: it must be a directory, and USER must be allowed to enter every part of it.',
      ],
      output: [said],
    },
  );
}

function badLimit({ said }: FailedStart): BuildError {
  return new BuildError('RUN_ULIMIT_REFUSED', 'A --ulimit is above what this host allows.', {
    suggestions: ['Without root a limit can only be lowered: compare with ulimit -Ha.'],
    output: [said],
  });
}

function badMount({ said }: FailedStart): BuildError {
  return new BuildError('RUN_MOUNT_FAILED', 'A mount of this step could not be made.', {
    suggestions: ['The message of the runtime names it; kiln doctor shows what this host refuses.'],
    output: [said],
  });
}

/** Tried in order; both crun's and runc's words. */
const KNOWN: readonly (readonly [RegExp, Explain])[] = [
  [/rlimit/i, badLimit],
  [/exec format error/i, wrongFormat],
  [/missing dynamic library\?|exec container process|^exec \S+: no such file/i, interpreterMissing],
  [/chdir|mkdir.*cwd|cwd|working directory/i, badDirectory],
  [/not found in \$PATH|exec: ".*": stat|executable file .* not found/i, notFound],
  [/open executable|exec: ".*": permission denied|exec: ".*": is a directory/i, notPermitted],
  [/\bmount/i, badMount],
];

/** The error for a process that never started. */
export function startFailure(start: FailedStart): BuildError {
  for (const [pattern, explain] of KNOWN) if (pattern.test(start.said)) return explain(start);
  return new BuildError('RUN_NOT_STARTED', `The container runtime could not start the step: ${start.said}`, {
    suggestions: [
      'kiln doctor shows what this host allows.',
      'Try another way: --isolation chroot needs no container runtime.',
    ],
    output: [start.said],
  });
}

/** Complaint that a runtime wrote to the step's own output because it had let go of its log by then. */
export function lateComplaint(lastLine: string): string | undefined {
  const text = /^\{"msg":"/.test(lastLine)
    ? (/^\{"msg":"(.*?)","level"/.exec(lastLine)?.[1] ?? '')
    : lastLine;
  return /^exec container process|^exec \/?\S+: (no such file or directory|exec format error)$/.test(text)
    ? text
    : undefined;
}
