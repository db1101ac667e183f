/** RUN -> a step: the argv with heredocs worked in, the environment it sees, its mounts. */
import { parseHeredocWord } from '../dockerfile/heredoc.ts';
import type { Heredoc, RunInstruction } from '../dockerfile/instruction.ts';
import { parseRunMount } from '../dockerfile/run-mount.ts';
import { BuildError, located } from '../errors.ts';
import { resolveFrom } from './stage-graph.ts';
import type { StageState } from './stage-state.ts';
import type { PlannedMount, RunStep } from './step.ts';

/** Build args that every RUN sees without declaring them; never in history, config or cache key. */
const PROXY_NAMES = ['http_proxy', 'https_proxy', 'ftp_proxy', 'no_proxy', 'all_proxy'];

/** Plans a RUN. Throws DOCKERFILE_* for flags that cannot be honoured. */
export function planRun(state: StageState, instruction: RunInstruction): void {
  refuseUnsupported(instruction);
  const { argv, script } = commandOf(state, instruction);
  const summary =
    instruction.heredocs.length > 0 ? ` (${summarize(instruction.heredocs[0]?.content ?? '')})` : '';
  const mounts = instruction.mounts.map((raw) => planMount(state, raw, instruction));
  const step: RunStep = {
    kind: 'run',
    title: state.nextTitle(instruction, { suffix: summary, masked: secretVariables(mounts) }),
    location: instruction.location,
    noCache: state.noCache,
    argv,
    env: [...state.variables].map(([name, value]) => `${name}=${value}`),
    proxyEnv: proxyEnv(state.graph.options.buildArgs),
    cwd: state.workdir,
    user: state.user,
    mounts,
    network: networkOf(state, instruction),
    ...(script === undefined ? {} : { script }),
  };
  state.push(step, `RUN ${[...declaredArgs(state), ...argv].join(' ')} # buildkit`);
}

function refuseUnsupported({ security, devices, location }: RunInstruction): void {
  if (security === 'insecure') {
    throw new BuildError('DOCKERFILE_SECURITY', 'RUN --security=insecure is not possible without root', {
      location,
      suggestions: ['kiln runs every step unprivileged; remove --security=insecure.'],
    });
  }
  if (devices.length > 0) {
    throw new BuildError('DOCKERFILE_DEVICE', 'RUN --device is not supported', {
      location,
      suggestions: ['kiln gives no host devices to steps; remove --device.'],
    });
  }
}

function networkOf(state: StageState, { network }: RunInstruction): RunStep['network'] {
  if (network === 'none' || network === 'host') return network;
  return state.graph.options.network;
}

/** "|2 A=1 B=2": the ARGs a RUN could see, as the history of images shows them. */
function declaredArgs(state: StageState): string[] {
  const words = state.declaredArgs.map((name) => `${name}=${state.variables.get(name) ?? ''}`);
  return words.length === 0 ? [] : [`|${words.length}`, ...words];
}

function proxyEnv(buildArgs: ReadonlyMap<string, string>): string[] {
  const env: string[] = [];
  for (const [name, value] of buildArgs) {
    const lower = name.toLowerCase();
    if (PROXY_NAMES.includes(lower)) env.push(`${lower.toUpperCase()}=${value}`, `${lower}=${value}`);
  }
  return env;
}

function commandOf(
  state: StageState,
  { command, heredocs }: RunInstruction,
): { argv: readonly string[]; script?: { name: string; content: string } } {
  if (command.form === 'exec') return { argv: command.argv };
  const shell = state.config.Shell ?? ['/bin/sh', '-c'];
  const first = heredocs[0];
  if (first === undefined) return { argv: [...shell, command.text] };
  // Only a heredoc and nothing else, as in `RUN <<EOF`.
  if (parseHeredocWord(command.text.trim()) !== undefined) {
    const body = first.stripTabs ? stripTabs(first.content) : first.content;
    if (body.startsWith('#!')) {
      return { argv: [...shell, `/dev/pipes/${first.name}`], script: { name: first.name, content: body } };
    }
    return { argv: [...shell, body] };
  }
  // The shell reads its own heredocs: the bodies go back behind the command line.
  const text = heredocs.reduce((joined, { content, name }) => `${joined}\n${content}${name}`, command.text);
  return { argv: [...shell, text] };
}

/** Removes the leading tabs of each line of a `<<-` body. */
export function stripTabs(content: string): string {
  return content.replaceAll(/^\t+/gm, '');
}

/** Variables that hold a secret while the step runs. */
function secretVariables(mounts: readonly PlannedMount[]): string[] {
  return mounts.flatMap(({ mount }) => {
    if (mount.type !== 'secret' || mount.env === undefined) return [];
    return [mount.env === '' ? mount.id : mount.env];
  });
}

function summarize(content: Heredoc['content']): string {
  const lines = content.trim().split(/\r?\n/);
  return `${lines[0] ?? ''}${lines.length > 1 ? '...' : ''}`;
}

function planMount(state: StageState, raw: string, { location }: RunInstruction): PlannedMount {
  const scope = state.scope;
  try {
    const mount = parseRunMount(raw, (text) => scope.expand(text, location));
    const from =
      mount.type !== 'bind' && mount.type !== 'cache'
        ? undefined
        : mount.from === undefined
          ? mount.type === 'bind'
            ? ('context' as const)
            : undefined
          : resolveFrom(state.graph, { from: mount.from, stage: state.stage, location });
    const target =
      mount.target === undefined ? undefined : state.absolute(mount.target).replace(/(.)\/$/, '$1');
    if (target === '/') {
      throw new BuildError('DOCKERFILE_MOUNT', `invalid mount target "${mount.target}"`, {
        suggestions: ['Mount onto a directory below the root.'],
      });
    }
    return { mount, from, target };
  } catch (error) {
    throw located(error, location);
  }
}
