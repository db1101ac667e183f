/** RUN, CMD, ENTRYPOINT, SHELL and HEALTHCHECK: what runs. Follows BuildKit's instructions/parse.go. */
import { BuildError, messageOf } from '../errors.ts';
import { parseDuration } from './duration.ts';
import { parseFlags } from './flags.ts';
import type {
  CmdInstruction,
  Command,
  EntrypointInstruction,
  HealthcheckInstruction,
  RunInstruction,
  ShellInstruction,
} from './instruction.ts';
import { argumentError, needsArgument, type Request } from './request.ts';
import { readMountFrom } from './run-mount.ts';
import { checkRunNetwork, checkRunSecurity, parseRunDevice } from './run-options.ts';
import { cutAtSeparator, quote } from './text.ts';
import { parseJsonArray } from './words.ts';

const RUN_FLAGS = { mount: 'list', network: 'text', security: 'text', device: 'list' } as const;

function toCommand(text: string): Command {
  const argv = parseJsonArray(text);
  return argv === undefined ? { form: 'shell', text } : { form: 'exec', argv };
}

/** `RUN [--mount --network --security --device] COMMAND`. */
export function parseRun({ head, origin, heredocs }: Request): RunInstruction {
  const command = toCommand(head.rest);
  const flags = parseFlags(head.flags, RUN_FLAGS);
  const devices = flags.device ?? [];
  const mounts = flags.mount ?? [];
  for (const device of devices) parseRunDevice(device);
  for (const mount of mounts) readMountFrom(mount);
  if (flags.network !== undefined) checkRunNetwork(flags.network);
  if (flags.security !== undefined) checkRunSecurity(flags.security);
  if (command.form === 'exec' && command.argv.length === 0) {
    throw needsArgument('RUN', 'RUN ["make", "install"]');
  }
  return {
    keyword: 'RUN',
    ...origin,
    command,
    heredocs,
    mounts,
    ...(flags.network !== undefined && { network: flags.network }),
    ...(flags.security !== undefined && { security: flags.security }),
    devices,
  };
}

/** `CMD COMMAND`; none at all is an empty command. */
export function parseCmd({ head, origin }: Request): CmdInstruction {
  const command = toCommand(head.rest);
  parseFlags(head.flags, {});
  return { keyword: 'CMD', ...origin, command };
}

/** `ENTRYPOINT COMMAND`; none at all is an empty command. */
export function parseEntrypoint({ head, origin }: Request): EntrypointInstruction {
  const command = toCommand(head.rest);
  parseFlags(head.flags, {});
  return { keyword: 'ENTRYPOINT', ...origin, command };
}

/** `SHELL ["executable", "parameters"]`. */
export function parseShell({ head, origin }: Request): ShellInstruction {
  const argv = parseJsonArray(head.rest);
  parseFlags(head.flags, {});
  if (head.rest === '' || argv?.length === 0) throw needsArgument('SHELL', 'SHELL ["/bin/bash", "-c"]');
  if (argv === undefined) {
    throw argumentError(
      'SHELL requires the arguments to be in JSON form',
      'Write every word in double quotes: SHELL ["/bin/bash", "-o", "pipefail", "-c"].',
    );
  }
  return { keyword: 'SHELL', ...origin, argv };
}

const HEALTHCHECK_FLAGS = {
  interval: 'text',
  timeout: 'text',
  'start-period': 'text',
  'start-interval': 'text',
  retries: 'text',
} as const;

/** Docker keeps no shorter interval. */
const SHORTEST_INTERVAL = 1e6;

function healthcheckError(message: string, ...suggestions: string[]): BuildError {
  return new BuildError('DOCKERFILE_HEALTHCHECK', message, { suggestions });
}

/** Nanoseconds; undefined for a flag that is absent, empty or zero, which all mean the default. */
function parseInterval(flag: string, value: string | undefined): number | undefined {
  if (value === undefined || value === '') return undefined;
  let nanoseconds: number;
  try {
    nanoseconds = parseDuration(value);
  } catch (error) {
    throw healthcheckError(messageOf(error), `Write --${flag} with units, such as 30s or 1m30s.`);
  }
  if (nanoseconds === 0) return undefined;
  if (nanoseconds >= SHORTEST_INTERVAL) return nanoseconds;
  throw healthcheckError(
    `Interval ${quote(flag)} cannot be less than 1ms`,
    `Write --${flag} with at least 1ms; 0 means the default.`,
  );
}

function parseRetries(value: string | undefined): number | undefined {
  if (value === undefined || value === '') return undefined;
  const remedy = 'Write --retries with a whole number; 0 means the default.';
  if (!/^[+-]?\d+$/.test(value)) {
    throw healthcheckError(`strconv.ParseInt: parsing ${quote(value)}: invalid syntax`, remedy);
  }
  const retries = Number(value);
  if (retries >= 2 ** 31 || retries < -(2 ** 31)) {
    throw healthcheckError(`strconv.ParseInt: parsing ${quote(value)}: value out of range`, remedy);
  }
  if (retries < 0) throw healthcheckError(`--retries cannot be negative (${retries})`, remedy);
  return retries;
}

/** The second word on, which must be a command. */
function healthcheckCommand(type: string, text: string): Command {
  if (type !== 'CMD') {
    throw healthcheckError(
      `Unknown type ${quote(type)} in HEALTHCHECK (try CMD)`,
      'Write HEALTHCHECK CMD command, or HEALTHCHECK NONE.',
    );
  }
  const command = toCommand(text);
  if (text !== '' && !(command.form === 'exec' && command.argv.length === 0)) return command;
  throw healthcheckError('Missing command after HEALTHCHECK CMD', 'Write the command after CMD.');
}

/** `HEALTHCHECK NONE` or `HEALTHCHECK [--interval …] CMD COMMAND`. */
export function parseHealthcheck({ head, origin }: Request): HealthcheckInstruction {
  const [typeWord, text = ''] = cutAtSeparator(head.rest);
  if (typeWord === '') throw needsArgument('HEALTHCHECK', 'HEALTHCHECK CMD curl -f http://localhost/');
  const type = typeWord.toUpperCase();
  if (type === 'NONE') {
    if (text === '') return { keyword: 'HEALTHCHECK', ...origin };
    throw healthcheckError('HEALTHCHECK NONE takes no arguments', `Remove ${text}.`);
  }
  const flags = parseFlags(head.flags, HEALTHCHECK_FLAGS);
  const command = healthcheckCommand(type, text);
  const interval = parseInterval('interval', flags.interval);
  const timeout = parseInterval('timeout', flags.timeout);
  const startPeriod = parseInterval('start-period', flags['start-period']);
  const startInterval = parseInterval('start-interval', flags['start-interval']);
  const retries = parseRetries(flags.retries);
  return {
    keyword: 'HEALTHCHECK',
    ...origin,
    command,
    ...(interval !== undefined && { interval }),
    ...(timeout !== undefined && { timeout }),
    ...(startPeriod !== undefined && { startPeriod }),
    ...(startInterval !== undefined && { startInterval }),
    ...(retries !== undefined && { retries }),
  };
}
