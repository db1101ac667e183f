/**
 * The instructions of a Dockerfile as values. One variant a keyword, each with the lines it stands on.
 * Words are kept as written: variables are expanded later, by the plan, which knows the environment.
 * Names and meaning follow the Dockerfile reference.
 */
import type { SourceLocation } from '../errors.ts';

/** A here-document of RUN, COPY or ADD. */
export interface Heredoc {
  readonly name: string;
  /** Body as written, with its last newline; tabs of a `<<-` body are still there. */
  readonly content: string;
  /** False when the delimiter was quoted: variables in the body are then left alone. */
  readonly expand: boolean;
  /** True for `<<-`: leading tabs are removed from each line. */
  readonly stripTabs: boolean;
  /** File descriptor before `<<`; 0 unless given. */
  readonly fd: number;
}

/** The two ways to write a command: a JSON array (exec form) or text for the shell (shell form). */
export type Command =
  | { readonly form: 'exec'; readonly argv: readonly string[] }
  | { readonly form: 'shell'; readonly text: string };

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

interface InstructionBase {
  /** Where the instruction stands, heredoc bodies included. */
  readonly location: SourceLocation;
  /** The text of the instruction as one line: continuations joined, comments dropped, heredoc bodies left out. */
  readonly original: string;
  /** Comment lines directly above, without their `#`; only where there are some. */
  readonly comments?: readonly string[];
  /** It came as a trigger of the base image. */
  readonly onBuild?: true;
}

export interface FromInstruction extends InstructionBase {
  readonly keyword: 'FROM';
  /** Image reference, stage name or number, or "scratch"; may hold variables of global ARGs. */
  readonly image: string;
  readonly platform?: string;
  /** Name after AS, in lower case. */
  readonly stageName?: string;
}

export interface RunInstruction extends InstructionBase {
  readonly keyword: 'RUN';
  readonly command: Command;
  readonly heredocs: readonly Heredoc[];
  /** Values of --mount, unexpanded and unparsed; `run-mount.ts` reads them. */
  readonly mounts: readonly string[];
  readonly network?: string;
  readonly security?: string;
  readonly devices: readonly string[];
}

/** What COPY and ADD share. */
interface TransferInstruction extends InstructionBase {
  readonly sources: readonly string[];
  readonly destination: string;
  /** Here-documents among the sources; each makes a file named after it. They follow `sources` in order. */
  readonly heredocs: readonly Heredoc[];
  readonly chown?: string;
  readonly chmod?: string;
  readonly link: boolean;
  readonly parents: boolean;
  readonly exclude: readonly string[];
}

export interface CopyInstruction extends TransferInstruction {
  readonly keyword: 'COPY';
  /** Stage name or number, named context, or image; not expanded. */
  readonly from?: string;
}

export interface AddInstruction extends TransferInstruction {
  readonly keyword: 'ADD';
  readonly checksum?: string;
  readonly keepGitDir?: boolean;
  /** --unpack as given; undefined means the default: local archives yes, remote files no. */
  readonly unpack?: boolean;
}

export interface EnvInstruction extends InstructionBase {
  readonly keyword: 'ENV';
  readonly pairs: readonly KeyValue[];
  /** True for the old form `ENV KEY VALUE`, which names one variable. */
  readonly legacyForm?: true;
}

export interface LabelInstruction extends InstructionBase {
  readonly keyword: 'LABEL';
  readonly pairs: readonly KeyValue[];
  /** True for the old form `LABEL KEY VALUE`, which names one label. */
  readonly legacyForm?: true;
}

export interface ArgInstruction extends InstructionBase {
  readonly keyword: 'ARG';
  readonly args: readonly { readonly name: string; readonly value?: string }[];
}

export interface WorkdirInstruction extends InstructionBase {
  readonly keyword: 'WORKDIR';
  readonly path: string;
}

export interface UserInstruction extends InstructionBase {
  readonly keyword: 'USER';
  readonly user: string;
}

export interface CmdInstruction extends InstructionBase {
  readonly keyword: 'CMD';
  readonly command: Command;
}

export interface EntrypointInstruction extends InstructionBase {
  readonly keyword: 'ENTRYPOINT';
  readonly command: Command;
}

export interface ExposeInstruction extends InstructionBase {
  readonly keyword: 'EXPOSE';
  /** Words such as 80, 53/udp, 8000-8010/tcp, or variables. */
  readonly ports: readonly string[];
}

export interface VolumeInstruction extends InstructionBase {
  readonly keyword: 'VOLUME';
  readonly paths: readonly string[];
}

export interface ShellInstruction extends InstructionBase {
  readonly keyword: 'SHELL';
  readonly argv: readonly string[];
}

export interface StopsignalInstruction extends InstructionBase {
  readonly keyword: 'STOPSIGNAL';
  readonly signal: string;
}

export interface HealthcheckInstruction extends InstructionBase {
  readonly keyword: 'HEALTHCHECK';
  /** undefined means HEALTHCHECK NONE. */
  readonly command?: Command;
  /** Durations in nanoseconds, as the image config holds them; undefined where not given. */
  readonly interval?: number;
  readonly timeout?: number;
  readonly startPeriod?: number;
  readonly startInterval?: number;
  readonly retries?: number;
}

export interface OnbuildInstruction extends InstructionBase {
  readonly keyword: 'ONBUILD';
  /** The trigger as text (heredoc bodies included), as the image config records it. */
  readonly trigger: string;
}

export interface MaintainerInstruction extends InstructionBase {
  readonly keyword: 'MAINTAINER';
  readonly name: string;
}

export type Instruction =
  | FromInstruction
  | RunInstruction
  | CopyInstruction
  | AddInstruction
  | EnvInstruction
  | LabelInstruction
  | ArgInstruction
  | WorkdirInstruction
  | UserInstruction
  | CmdInstruction
  | EntrypointInstruction
  | ExposeInstruction
  | VolumeInstruction
  | ShellInstruction
  | StopsignalInstruction
  | HealthcheckInstruction
  | OnbuildInstruction
  | MaintainerInstruction;

/** A whole Dockerfile: its directives and instructions in order. */
export interface Dockerfile {
  readonly source: import('../errors.ts').SourceFile;
  /** The escape character: a backslash, or a backtick by directive. */
  readonly escape: '\\' | '`';
  /** Value of `# syntax=`, if any. */
  readonly syntax?: string;
  /** Value of `# check=`, if any. */
  readonly check?: string;
  readonly instructions: readonly Instruction[];
  /** Things that are legal but suspect, found while reading (such as empty continuation lines). */
  readonly warnings: readonly {
    readonly rule: string;
    readonly message: string;
    readonly location: SourceLocation;
  }[];
}
