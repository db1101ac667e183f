/** Every --cache-to of a build: told of each step as it is solved, asked at the end to write the caches. */
import { BuildError } from '../errors.ts';
import type { CacheKey, DiffId } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import type { Emit, StepLabel } from '../progress/event.ts';
import type { Connections } from '../registry/connections.ts';
import type { Alias } from '../solver/key-forecast.ts';
import type { SolvedStep } from '../solver/record-source.ts';
import { asItIs, type SettledLayer } from '../solver/step-layer.ts';
import type { CacheRecord } from '../store/record-store.ts';
import type { KeptLayer, KeptRecord } from './cache-document.ts';
import { CacheExport, type ExportedStep, type ExportWorld, exportProblem } from './cache-export.ts';
import type { CacheExportSpec } from './cache-spec.ts';
import { openStorage } from './cache-storage.ts';
import { withInlineCache } from './inline-cache.ts';

export interface ExportsWorld extends ExportWorld {
  readonly connections: Connections;
  readonly emit: Emit;
  /** Upload as steps settle. Without it nothing is sent before `finish`: the build may go on in another process. */
  readonly eager: boolean;
  /** The record of a key, wherever it is. */
  readonly recordOf: (key: CacheKey) => Promise<CacheRecord | undefined>;
  /** Stages that the images consist of. */
  readonly finalStages: ReadonlySet<number>;
  /** SOURCE_DATE_EPOCH: nothing in an image says another time. */
  readonly epoch: number | undefined;
}

export class CacheExports {
  readonly #world: ExportsWorld;
  readonly #exports: readonly CacheExport[];
  readonly #inline: boolean;
  readonly #steps: SolvedStep[] = [];
  readonly #aliases: Alias[] = [];

  constructor(specs: readonly CacheExportSpec[], world: ExportsWorld) {
    this.#world = world;
    this.#inline = specs.some(({ kind }) => kind === 'inline');
    this.#exports = specs.flatMap((spec) =>
      spec.kind === 'inline'
        ? []
        : [new CacheExport(spec, openStorage(spec.place, world.connections), world)],
    );
    for (const one of this.#exports) one.prepare();
  }

  /** Takes a step that was looked up or begun. */
  add(step: SolvedStep): void {
    this.#steps.push(step);
    if (!this.#world.eager) return;
    const begin = (layer: SettledLayer): void => {
      for (const one of this.#exports) if (this.#takes(one, step)) one.begin(layer);
    };
    // What is not here with the times of the build may never be needed so.
    if (step.layer.idle !== true) step.layer.settled.then(begin, () => undefined);
  }

  /** True when some cache is to serve without the stages that the image only reads from. */
  get wantsAliases(): boolean {
    return this.#inline || this.#exports.some(({ spec }) => spec.mode === 'min');
  }

  addAliases(aliases: readonly Alias[]): void {
    this.#aliases.push(...aliases);
  }

  /** Waits until every step that has run is packed and recorded, whatever became of the build. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#steps.map(({ layer }) => asItIs(layer)));
  }

  /** The config of a finished image, with an inline cache if one was asked for. */
  async decorate(config: ImageConfig, layers: readonly SettledLayer[]): Promise<ImageConfig> {
    if (!this.#inline) return config;
    const own = new Set(layers.map(({ diffId }) => diffId));
    const records = new Map<CacheKey, KeptRecord>();
    const kept = new Map<DiffId, Pick<KeptLayer, 'diffId' | 'tarSize'>>();
    for (const { layer, records: found } of await this.#exported((step) => this.#isFinal(step))) {
      const { diffId, tarSize, created: ran, times } = layer;
      if (!own.has(diffId)) continue;
      kept.set(diffId, { diffId, tarSize });
      const created = this.#world.epoch === undefined ? ran : (config.created ?? ran);
      for (const { key, parts, contentKey } of found) {
        records.set(key, { key, parts, contentKey, diffId, created, times, used: 0 });
      }
    }
    if (records.size > 0)
      return withInlineCache(config, {
        records: [...records.values()],
        layers: kept,
        aliases: this.#aliases.map((alias) => ({ ...alias, used: 0 })),
      });
    const message = 'the inline cache is empty: no layer of the image is that of one step';
    this.#world.emit({ type: 'warning', message });
    return config;
  }

  /** Repository in which an export has put a layer, or is about to, on a registry that the image goes to as well. */
  async homeOf(layer: SettledLayer, registries: ReadonlySet<string>): Promise<string | undefined> {
    for (const one of this.#exports) {
      if (one.registry === undefined || !registries.has(one.registry)) continue;
      const home = await one.homeOf(layer);
      if (home !== undefined) return home;
    }
    return undefined;
  }

  /**
   * Writes every cache. A failure is a warning, or, where that was asked for and the build itself stands, CACHE_EXPORT.
   */
  async finish({ failed }: { readonly failed: boolean }): Promise<void> {
    let failure: BuildError | undefined;
    for (const [index, one] of this.#exports.entries()) {
      const name = `exporting cache to ${one.name}`;
      const label: StepLabel = { id: `cache-export/${index}`, prefix: '[cache]', name };
      failure = (await this.#finishOne(one, { label, failed })) ?? failure;
    }
    if (failure !== undefined) throw failure;
  }

  async #finishOne(
    one: CacheExport,
    { label, failed }: { label: StepLabel; failed: boolean },
  ): Promise<BuildError | undefined> {
    const { emit, clock, signal } = this.#world;
    const began = clock();
    emit({ type: 'step-started', step: label });
    try {
      const steps = await this.#exported((step) => this.#takes(one, step));
      const report = await one.finish(steps, one.spec.mode === 'min' ? this.#aliases : []);
      const note = report.unchanged ? 'nothing new' : `${report.records} records`;
      emit({ type: 'step-finished', step: label, outcome: 'done', duration: clock() - began, note });
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      const message = `cache ${one.name} was not exported: ${exportProblem(error)}`;
      const code = 'CACHE_EXPORT';
      if (one.spec.ignoreError || failed) {
        emit({
          type: 'step-finished',
          step: label,
          outcome: 'done',
          duration: clock() - began,
          note: 'failed',
        });
        emit({ type: 'warning', message });
        return undefined;
      }
      emit({ type: 'step-failed', step: label, duration: clock() - began, message, code });
      const suggestions = error instanceof BuildError ? error.suggestions : [];
      return new BuildError(code, message, { suggestions, cause: error });
    }
  }

  #takes(one: CacheExport, step: SolvedStep): boolean {
    return one.spec.mode === 'max' || this.#isFinal(step);
  }

  #isFinal({ stage }: SolvedStep): boolean {
    return this.#world.finalStages.has(stage);
  }

  /** Steps whose layers are there, by stage, each with all its records. */
  async #exported(takes: (step: SolvedStep) => boolean): Promise<ExportedStep[]> {
    const steps = this.#steps.filter(takes).sort((a, b) => a.stage - b.stage);
    const exported: ExportedStep[] = [];
    for (const { records, layer } of steps) {
      const settled = await asItIs(layer).catch(() => undefined);
      if (settled !== undefined) exported.push({ layer: settled, records: await this.#complete(records) });
    }
    return exported;
  }

  /** A hit by definition tells nothing of its record by content, which finds the step when its producer has changed. */
  async #complete(records: SolvedStep['records']): Promise<SolvedStep['records']> {
    const known = new Set(records.map(({ key }) => key));
    const missing = records.flatMap(({ contentKey }) =>
      contentKey === undefined || known.has(contentKey) ? [] : [contentKey],
    );
    const found = await Promise.all(missing.map((key) => this.#world.recordOf(key)));
    const all = [...records, ...found.flatMap((record) => (record === undefined ? [] : [record]))];
    // What a step ran on is only known once it has run; its record has it then.
    return Promise.all(
      all.map(async (record) =>
        record.below === undefined
          ? { ...record, below: (await this.#world.recordOf(record.key))?.below }
          : record,
      ),
    );
  }
}
