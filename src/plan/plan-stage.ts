/**
 * One stage: instructions -> steps, config and history. What each instruction does to the config, and the words it
 * leaves in the history, follow BuildKit's Dockerfile frontend, so that images read the same whoever built them.
 */
import type {
  ArgInstruction,
  Command,
  EnvInstruction,
  HealthcheckInstruction,
  Instruction,
  LabelInstruction,
  VolumeInstruction,
  WorkdirInstruction,
} from '../dockerfile/instruction.ts';
import { BuildError, type SourceLocation } from '../errors.ts';
import type { Healthcheck } from '../image/image-config.ts';
import { duration, plainList, quoteList } from './go-format.ts';
import { planRun } from './plan-run.ts';
import { planTransfer } from './plan-transfer.ts';
import { parsePorts } from './ports.ts';
import { isSignal } from './signals.ts';
import type { Stage, StageGraph } from './stage-graph.ts';
import { cleanPath, type StageStart, StageState } from './stage-state.ts';
import type { StagePlan } from './step.ts';

/** Plans one stage. Throws DOCKERFILE_* at the instruction that is wrong. Unset variables met are given to `onUnset`. */
export function planStage(
  graph: StageGraph,
  stage: Stage,
  { start, onUnset }: { start: StageStart; onUnset?: (name: string, location: SourceLocation) => void },
): StagePlan {
  const state = new StageState(graph, stage, start);
  for (const instruction of stage.instructions) apply(state, instruction);
  for (const { name, location } of state.unset) onUnset?.(name, location);
  return state.finish();
}

function apply(state: StageState, instruction: Instruction): void {
  const { location } = instruction;
  switch (instruction.keyword) {
    case 'RUN':
      return planRun(state, instruction);
    case 'COPY':
    case 'ADD':
      return planTransfer(state, instruction);
    case 'WORKDIR':
      return applyWorkdir(state, state.scope.expand(instruction.path, location), instruction);
    case 'ENV':
      return applyEnv(state, instruction);
    case 'LABEL':
      return applyLabel(state, instruction);
    case 'ARG':
      return applyArg(state, instruction);
    case 'USER':
      state.config.User = state.scope.expand(instruction.user, location);
      return state.note(`USER ${state.config.User}`);
    case 'CMD':
      return applyCommand(state, withShell(state, instruction.command));
    case 'ENTRYPOINT':
      return applyEntrypoint(state, withShell(state, instruction.command));
    case 'EXPOSE':
      return applyExpose(state, instruction.ports, location);
    case 'VOLUME':
      return applyVolume(state, instruction);
    case 'SHELL':
      state.config.Shell = instruction.argv;
      return state.note(`SHELL ${plainList(instruction.argv)}`);
    case 'STOPSIGNAL':
      return applyStopSignal(state, state.scope.expand(instruction.signal, location), location);
    case 'HEALTHCHECK':
      return applyHealthcheck(state, instruction);
    case 'ONBUILD':
      state.config.OnBuild = [...(state.config.OnBuild ?? []), instruction.trigger];
      return;
    case 'MAINTAINER':
      // The one instruction with text that is never expanded.
      state.author = instruction.name;
      return state.note(`MAINTAINER ${state.author}`);
    case 'FROM':
      return;
  }
}

/** The argv of a command: exec form as it is, shell form behind the stage's SHELL. */
function withShell(state: StageState, command: Command): readonly string[] {
  if (command.form === 'exec') return command.argv;
  return [...(state.config.Shell ?? ['/bin/sh', '-c']), command.text];
}

function applyCommand(state: StageState, argv: readonly string[]): void {
  setWords(state.config, 'Cmd', argv);
  state.config.ArgsEscaped = true;
  state.commandSet = true;
  state.note(`CMD ${quoteList(argv)}`);
}

function applyEntrypoint(state: StageState, argv: readonly string[]): void {
  setWords(state.config, 'Entrypoint', argv);
  // An ENTRYPOINT of one's own drops the CMD that came with the base image.
  if (!state.commandSet) delete state.config.Cmd;
  state.note(`ENTRYPOINT ${quoteList(argv)}`);
}

/** An empty list is none: CMD [] takes back what the base image had. */
function setWords(config: StageState['config'], name: 'Cmd' | 'Entrypoint', argv: readonly string[]): void {
  if (argv.length === 0) delete config[name];
  else config[name] = argv;
}

/** An absolute path is recorded as it is written; a relative one, or none at all, is joined to what was before. */
function applyWorkdir(state: StageState, path: string, instruction: WorkdirInstruction): void {
  const { location } = instruction;
  const joined = cleanPath(`${state.workdir}/${path}`).replace(/(.)\/$/, '$1');
  const workdir = path.startsWith('/') ? path : path === '' ? state.workdir : joined;
  state.config.WorkingDir = workdir;
  const title = state.nextTitle(instruction);
  if (workdir === '/') return state.note('WORKDIR /');
  const directory = cleanPath(workdir).replace(/(.)\/$/, '$1');
  state.push(
    { kind: 'workdir', title, location, noCache: state.noCache, path: directory, user: state.user },
    `WORKDIR ${workdir}`,
  );
}

function applyEnv(state: StageState, { pairs, location }: EnvInstruction): void {
  // All values of one instruction see the environment from before it.
  const scope = state.scope;
  const expanded = pairs.map(({ key, value }) => ({
    key: scope.expand(key, location),
    value: scope.expand(value, location),
  }));
  const env = [...(state.config.Env ?? [])];
  for (const { key, value } of expanded) {
    const index = env.findIndex((entry) => entry.split('=', 1)[0] === key);
    if (index >= 0) env[index] = `${key}=${value}`;
    else env.push(`${key}=${value}`);
    state.variables.set(key, value);
  }
  state.config.Env = env;
  state.note(`ENV ${expanded.map(({ key, value }) => `${key}=${value}`).join(' ')}`);
}

function applyLabel(state: StageState, { pairs, location }: LabelInstruction): void {
  const labels = { ...state.config.Labels };
  const words: string[] = [];
  for (const pair of pairs) {
    const key = state.scope.expand(pair.key, location);
    const value = state.scope.expand(pair.value, location);
    labels[key] = value;
    words.push(`${key}=${value}`);
  }
  state.config.Labels = labels;
  state.note(`LABEL ${words.join(' ')}`);
}

function applyArg(state: StageState, { args, location }: ArgInstruction): void {
  const words: string[] = [];
  for (const { name, value } of args) {
    const given = state.graph.options.buildArgs.get(name);
    const fallback = (): string | undefined =>
      value === undefined ? state.graph.globalArgs.get(name) : state.scope.expand(value, location);
    // A default that is not used is not looked at: it may well be one that cannot be expanded.
    const result = given ?? fallback();
    if (result !== undefined) state.variables.set(name, result);
    if (!state.declaredArgs.includes(name)) state.declaredArgs.push(name);
    words.push(result === undefined ? name : `${name}=${result}`);
  }
  state.note(`ARG ${words.join(' ')}`);
}

function applyExpose(state: StageState, words: readonly string[], location: SourceLocation): void {
  const ports = words
    .flatMap((word) => state.scope.expandToWords(word, location))
    .flatMap((word) => parsePorts(word, location));
  const exposed = { ...state.config.ExposedPorts };
  for (const port of ports) exposed[port] = {};
  state.config.ExposedPorts = exposed;
  state.note(`EXPOSE ${plainList(ports)}`);
}

function applyVolume(state: StageState, { paths, location }: VolumeInstruction): void {
  const expanded = paths.map((path) => state.scope.expand(path, location));
  if (expanded.includes('')) {
    throw new BuildError('DOCKERFILE_VOLUME', 'VOLUME specified can not be an empty string', {
      location,
      suggestions: ['Name an absolute path, such as VOLUME /data.'],
    });
  }
  state.config.Volumes = {
    ...state.config.Volumes,
    ...Object.fromEntries(expanded.map((path) => [path, {}])),
  };
  state.note(`VOLUME ${plainList(expanded)}`);
}

function applyStopSignal(state: StageState, signal: string, location: SourceLocation): void {
  if (!isSignal(signal)) {
    throw new BuildError('DOCKERFILE_STOPSIGNAL', `invalid signal: ${signal}`, {
      location,
      suggestions: ['Use a name such as SIGTERM, or a number such as 15.'],
    });
  }
  state.config.StopSignal = signal;
  state.note(`STOPSIGNAL ${signal}`);
}

function applyHealthcheck(state: StageState, instruction: HealthcheckInstruction): void {
  const { command } = instruction;
  const test =
    command === undefined
      ? ['NONE']
      : command.form === 'exec'
        ? ['CMD', ...command.argv]
        : ['CMD-SHELL', command.text];
  const check: Healthcheck = {
    Test: test,
    ...(instruction.interval ? { Interval: instruction.interval } : {}),
    ...(instruction.timeout ? { Timeout: instruction.timeout } : {}),
    ...(instruction.startPeriod ? { StartPeriod: instruction.startPeriod } : {}),
    ...(instruction.startInterval ? { StartInterval: instruction.startInterval } : {}),
    ...(instruction.retries ? { Retries: instruction.retries } : {}),
  };
  state.config.Healthcheck = check;
  const times = [
    `Interval:${duration(check.Interval ?? 0)}`,
    `Timeout:${duration(check.Timeout ?? 0)}`,
    `StartPeriod:${duration(check.StartPeriod ?? 0)}`,
    `StartInterval:${duration(check.StartInterval ?? 0)}`,
  ];
  state.note(`HEALTHCHECK {Test:${plainList(test)} ${times.join(' ')} Retries:${check.Retries ?? 0}}`);
}
