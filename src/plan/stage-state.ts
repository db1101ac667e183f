/** The state that instructions of one stage act on while the stage is planned, and what it begins with. */
import type { Instruction } from '../dockerfile/instruction.ts';
import { BugError } from '../errors.ts';
import type { Platform } from '../image/descriptor.ts';
import type { ImageConfig, RuntimeConfig } from '../image/image-config.ts';
import { formatPlatform } from '../image/platform.ts';
import { Scope, type UnsetUse } from './scope.ts';
import type { Stage, StageGraph } from './stage-graph.ts';
import type { PlannedHistory, StagePlan, Step, StepTitle } from './step.ts';

/** PATH of images that set none (as BuildKit sets it). */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What a stage begins with: nothing, a base image's config, or the plan of an earlier stage. */
export type StageStart =
  | { readonly kind: 'scratch' }
  | { readonly kind: 'image'; readonly config: ImageConfig }
  | { readonly kind: 'stage'; readonly plan: StagePlan };

export class StageState {
  readonly graph: StageGraph;
  readonly stage: Stage;
  readonly platform: Platform;
  readonly config: Mutable<RuntimeConfig>;
  author: string | undefined;
  readonly variables: Map<string, string>;
  readonly declaredArgs: string[];
  readonly steps: Step[] = [];
  readonly history: PlannedHistory[] = [];
  readonly unset: UnsetUse[] = [];
  /** CMD was given in this Dockerfile's stage: a later ENTRYPOINT then keeps it. */
  commandSet = false;
  readonly #total: number;
  #index: number;

  constructor(graph: StageGraph, stage: Stage, start: StageStart) {
    this.graph = graph;
    this.stage = stage;
    this.platform = stage.platform;
    const inherited = start.kind === 'stage' ? start.plan : undefined;
    const base = start.kind === 'image' ? (start.config.config ?? {}) : (inherited?.config.runtime ?? {});
    // Triggers belong to the image they were written in; they have already become instructions of this stage.
    const { OnBuild: _triggers, ...config } = known(base);
    this.config = start.kind === 'scratch' ? { WorkingDir: '/' } : config;
    this.author = start.kind === 'image' ? start.config.author : inherited?.config.author;
    this.variables = new Map(inherited?.variables ?? []);
    this.declaredArgs = [...(inherited?.declaredArgs ?? [])];
    const env = this.config.Env ?? [];
    this.config.Env = env.some((entry) => entry.startsWith('PATH=')) ? env : [...env, `PATH=${DEFAULT_PATH}`];
    for (const entry of this.config.Env) {
      const equals = entry.indexOf('=');
      if (equals < 0) this.variables.set(entry, '');
      else this.variables.set(entry.slice(0, equals), entry.slice(equals + 1));
    }
    const own = stage.instructions.filter(({ keyword }) =>
      ['RUN', 'COPY', 'ADD', 'WORKDIR'].includes(keyword),
    );
    const fromImage = stage.base.kind === 'image' || stage.base.kind === 'context' ? 1 : 0;
    this.#total = own.length + fromImage;
    this.#index = fromImage;
  }

  get scope(): Scope {
    return new Scope(this.variables, this.graph.dockerfile.escape, this.unset);
  }

  get workdir(): string {
    return this.config.WorkingDir === undefined || this.config.WorkingDir === ''
      ? '/'
      : this.config.WorkingDir;
  }

  get user(): string {
    return this.config.User ?? '';
  }

  /** --no-cache applies to this stage. */
  get noCache(): boolean {
    const { noCache } = this.graph.options;
    if (typeof noCache === 'boolean') return noCache;
    return this.stage.name !== undefined && noCache.has(this.stage.name);
  }

  /** Records an instruction that makes no layer. */
  note(createdBy: string): void {
    this.history.push({ createdBy, comment: 'buildkit.dockerfile.v0' });
  }

  /** Records a step and its history entry. */
  push(step: Step, createdBy: string): void {
    this.steps.push(step);
    this.history.push({ createdBy, comment: 'buildkit.dockerfile.v0', step: this.steps.length - 1 });
  }

  /**
   * Title of the next step, counted as BuildKit counts: the base image first, then every step. `suffix` goes behind the
   * instruction; values of `masked` variables are not shown.
   */
  nextTitle(
    { original, onBuild }: Instruction,
    { suffix = '', masked = [] }: { suffix?: string; masked?: readonly string[] } = {},
  ): StepTitle {
    this.#index += 1;
    const name = `${onBuild === true ? 'ONBUILD ' : ''}${this.scope.show(`${original}${suffix}`, masked)}`;
    return {
      id: `${scopeId(this.graph, this.stage)}/${this.#index}`,
      prefix: this.prefix(this.#index),
      name,
    };
  }

  /** "[builder 2/5]", with the platform when several are built. */
  prefix(index: number): string {
    return stepPrefix(this.graph, this.stage, { index, total: this.#total });
  }

  /** An absolute path from one that may be relative to WORKDIR; keeps a trailing slash. */
  absolute(path: string): string {
    return cleanPath(path.startsWith('/') ? path : `${this.workdir}/${path === '' ? '.' : path}`);
  }

  finish(): StagePlan {
    return {
      stage: this.stage,
      platform: this.platform,
      steps: this.steps,
      history: this.history,
      config: { author: this.author, runtime: this.config },
      variables: this.variables,
      declaredArgs: this.declaredArgs,
    };
  }
}

const FIELDS = [
  'User',
  'ExposedPorts',
  'Env',
  'Entrypoint',
  'Cmd',
  'Volumes',
  'WorkingDir',
  'Labels',
  'StopSignal',
  'Healthcheck',
  'OnBuild',
  'Shell',
  'ArgsEscaped',
] as const;

/** What a base image may pass on: images of old builders also hold the container they were committed from. */
function known(config: RuntimeConfig): Mutable<RuntimeConfig> {
  const entries = FIELDS.map((name) => [name, config[name]] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined && value !== null));
}

/** Name of a stage in ids: its own, or stage-N. */
function stageId(stage: Stage): string {
  return stage.name ?? `stage-${stage.index}`;
}

/** What ids of a stage's steps begin with: its name, and the platform it is built for when there are several. */
export function scopeId({ options }: StageGraph, stage: Stage): string {
  return options.multiPlatform
    ? `${formatPlatform(options.targetPlatform)}/${stageId(stage)}`
    : stageId(stage);
}

/** "[builder 2/5]" as BuildKit shows it: no stage name when there is one stage only. */
export function stepPrefix(
  graph: StageGraph,
  stage: Stage,
  { index, total }: { index: number; total: number },
): string {
  const platform = graph.options.multiPlatform
    ? `${[stage.platform.os, stage.platform.architecture, stage.platform.variant].filter(Boolean).join('/')} `
    : '';
  const name = graph.stages.length === 1 ? '' : `${stageId(stage)} `;
  return `[${platform}${name}${String(index).padStart(String(total).length)}/${total}]`;
}

/**
 * Resolves ".", ".." and repeated slashes of an absolute path lexically. A trailing slash stays, and "/." at the end
 * counts as one, because both say "directory".
 */
export function cleanPath(path: string): string {
  if (!path.startsWith('/')) throw new BugError(`not an absolute path: ${path}`);
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  const directory = parts.length > 0 && /\/\.?$/.test(path);
  return `/${parts.join('/')}${directory ? '/' : ''}`;
}
