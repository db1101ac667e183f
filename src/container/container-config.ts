/** What a container runs and with what: the image's config and the command line put together, by docker's rules. Pure. */
import { BuildError } from '../errors.ts';
import type { RuntimeConfig } from '../image/image-config.ts';

/** What the command line says beside the image. */
export interface ContainerOverrides {
  /** Words after the image; they take the place of CMD. */
  readonly command: readonly string[];
  /** Takes the place of ENTRYPOINT, and of CMD with it; "" is none. */
  readonly entrypoint: string | undefined;
  /** NAME=value; a name alone takes the variable away. */
  readonly env: readonly string[];
  readonly user: string | undefined;
  readonly workdir: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** The config of a container: what `kiln commit` makes the new image's config of. */
export function containerConfig(image: RuntimeConfig, overrides: ContainerOverrides): RuntimeConfig {
  const { command, entrypoint, env, user, workdir, labels } = overrides;
  const { Entrypoint: imageEntrypoint, Cmd: imageCommand, OnBuild: _triggers, ...rest } = image;
  const own = entrypoint === undefined ? imageEntrypoint : entrypoint === '' ? undefined : [entrypoint];
  const words = command.length > 0 || entrypoint !== undefined ? command : imageCommand;
  const allLabels = { ...image.Labels, ...labels };
  return {
    ...rest,
    Env: mergeEnvironment(image.Env ?? [], env),
    ...(own === undefined || own === null || own.length === 0 ? {} : { Entrypoint: own }),
    ...(words === undefined || words === null || words.length === 0 ? {} : { Cmd: words }),
    ...(user === undefined ? {} : { User: user }),
    ...(workdir === undefined ? {} : { WorkingDir: workdir }),
    ...(Object.keys(allLabels).length === 0 ? {} : { Labels: allLabels }),
  };
}

/** Later entries take the place of earlier ones with their name; a name without a value takes it away. */
function mergeEnvironment(base: readonly string[], changes: readonly string[]): string[] {
  const byName = new Map(base.map((entry) => [entry.split('=', 1)[0] ?? '', entry]));
  for (const entry of changes) {
    const name = entry.split('=', 1)[0] ?? '';
    if (entry.includes('=')) byName.set(name, entry);
    else byName.delete(name);
  }
  return [...byName.values()];
}

/** The words to execute. Throws CONTAINER_NO_COMMAND. */
export function commandOf({ Entrypoint, Cmd }: RuntimeConfig): string[] {
  const words = [...(Entrypoint ?? []), ...(Cmd ?? [])];
  if (words.length > 0) return words;
  throw new BuildError('CONTAINER_NO_COMMAND', 'no command specified: the image has no CMD or ENTRYPOINT', {
    suggestions: ['Write the command after the image: kiln run IMAGE COMMAND.'],
  });
}

/** PATH of images that set none. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The whole environment of the process. `home` is the user's home directory. */
export function processEnvironment(
  { Env = [] }: RuntimeConfig,
  { hostname, terminal, home }: { hostname: string; terminal: boolean; home: string },
): string[] {
  const defaults = [`PATH=${DEFAULT_PATH}`, `HOSTNAME=${hostname}`, ...(terminal ? ['TERM=xterm'] : [])];
  return mergeEnvironment([...defaults, `HOME=${home}`], Env);
}
