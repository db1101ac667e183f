/** The image config of a solved target: what the plan decided, and the layers and times that solving found. */

import type { Platform } from '../image/descriptor.ts';
import { fillTimes } from '../image/history.ts';
import type { HistoryEntry, ImageConfig, RuntimeConfig } from '../image/image-config.ts';
import { normalizePlatform } from '../image/platform.ts';
import type { Plan } from '../plan/plan.ts';
import type { StagePlan } from '../plan/step.ts';
import { lineage } from './lineage.ts';
import type { SolvedStage } from './solver.ts';

export interface FinishOptions {
  /** Config of the image the target is built on, directly or through other stages; undefined for scratch. */
  readonly base: ImageConfig | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** RFC 3339 of SOURCE_DATE_EPOCH: every time the build writes. */
  readonly epoch: string | undefined;
  /** What --platform asked for; undefined without it: the image is then for what its base is for. */
  readonly wanted: Platform | undefined;
}

/** Puts config, rootfs and history together (image-spec, config.md). History entries follow BuildKit's form. */
export function finishImage(plan: Plan, solved: SolvedStage, options: FinishOptions): ImageConfig {
  const { labels, epoch } = options;
  const { config } = solved.plan;
  const history = historyOf(plan, solved, options);
  const created = epoch ?? history.findLast((entry) => entry.created !== undefined)?.created;
  const runtime: RuntimeConfig =
    Object.keys(labels).length === 0
      ? config.runtime
      : { ...config.runtime, Labels: { ...config.runtime.Labels, ...labels } };
  return {
    ...platformOf(solved.plan, options),
    ...(created === undefined ? {} : { created }),
    ...(config.author === undefined || config.author === '' ? {} : { author: config.author }),
    config: runtime,
    rootfs: { type: 'layers', diff_ids: solved.layers.map(({ diffId }) => diffId) },
    history,
  };
}

/** Platform fields of the config: the base's own, overwritten by what the user asked for, as BuildKit does. */
function platformOf({ platform }: StagePlan, { base, wanted }: FinishOptions): Platform {
  const own = base === undefined || base.os === '' || base.architecture === '' ? platform : base;
  const sameKind = wanted === undefined || (wanted.os === own.os && wanted.architecture === own.architecture);
  const { os, architecture } = wanted ?? own;
  const variant = wanted?.variant ?? (sameKind ? own.variant : undefined);
  const version = wanted?.['os.version'] ?? (sameKind ? own['os.version'] : undefined);
  const features = wanted?.['os.features'] ?? own['os.features'];
  return normalizePlatform({
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    ...(version === undefined ? {} : { 'os.version': version }),
    ...(features === undefined ? {} : { 'os.features': features }),
  });
}

function historyOf(plan: Plan, solved: SolvedStage, { base, epoch }: FinishOptions): HistoryEntry[] {
  const history: HistoryEntry[] = [...(base?.history ?? [])];
  let layer = solved.baseLayers;
  for (const stage of lineage(plan, solved.plan)) {
    for (const { createdBy, comment, step } of stage.history) {
      const created = epoch ?? (step === undefined ? undefined : solved.layers[layer]?.created);
      if (step !== undefined) layer += 1;
      history.push({
        ...(created === undefined ? {} : { created }),
        created_by: createdBy,
        ...(comment === undefined ? {} : { comment }),
        ...(step === undefined ? { empty_layer: true } : {}),
      });
    }
  }
  return fillTimes(history);
}
