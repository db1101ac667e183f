/** A container as an image: its image's layers, and one layer of what it has changed. */
import { type Descriptor, type Digest, MEDIA_TYPE } from '../image/descriptor.ts';
import type { HistoryEntry, ImageConfig } from '../image/image-config.ts';
import { encodeConfig, encodeDocument, makeManifest } from '../image/manifest.ts';
import { applyChanges } from '../plan/apply-changes.ts';
import { commitImage } from '../store/commit-image.ts';
import type { Container } from '../store/container-store.ts';
import type { Store } from '../store/store.ts';
import { type ContainerFilesOptions, withContainerFiles } from './container-files.ts';

export interface CommitOptions extends ContainerFilesOptions {
  /** Full names; none is fine. */
  readonly names: readonly string[];
  /** Dockerfile instructions for the config. */
  readonly changes: readonly string[];
  readonly author: string | undefined;
  readonly message: string | undefined;
  /** When the image is made. */
  readonly created: Date;
}

/** An empty tar: two blocks of zeros. */
const EMPTY_TAR = 1024;

/** Stores the image and names it; resolves to its ID. Throws CONTAINER_*, USAGE_CHANGE and LAYER_*. */
export function commitContainer(store: Store, container: Container, options: CommitOptions): Promise<Digest> {
  const { created } = options;
  return withContainerFiles(store, container, options, async (files) => {
    const { manifest: base, config: baseConfig } = files.image;
    // First, for a wrong instruction is found at once.
    configOf(baseConfig, container, options);
    const { diffId, tarSize } = await files.pack(created.toISOString());
    const layer = { mediaType: MEDIA_TYPE.ociLayer, digest: diffId, size: tarSize };
    const added = tarSize > EMPTY_TAR ? [layer] : [];
    const config = encodeConfig(withLayer(configOf(baseConfig, container, options), added));
    const layers = [...base.layers, ...added];
    const manifest = encodeDocument(makeManifest({ config: config.descriptor, layers }));
    const { os, architecture, variant } = baseConfig;
    const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
    await commitImage(
      store,
      {
        descriptor: { ...manifest.descriptor, platform },
        documents: [config, manifest],
        layers,
        names: options.names,
        keep: true,
      },
      created,
    );
    return config.descriptor.digest;
  });
}

/** The config of the container with the changes and a history entry, as docker writes it. */
function configOf(
  base: ImageConfig,
  container: Container,
  { changes, author, message, created }: CommitOptions,
): ImageConfig {
  const time = created.toISOString();
  const { os, architecture, variant } = base;
  const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  const changed = applyChanges({ ...base, config: container.config }, changes, platform);
  const entry: HistoryEntry = {
    created: time,
    created_by: (container.config.Cmd ?? container.command).join(' '),
    ...(author === undefined ? {} : { author }),
    ...(message === undefined ? {} : { comment: message }),
  };
  return {
    ...changed,
    created: time,
    ...(author === undefined ? {} : { author }),
    history: [...(base.history ?? []), entry],
  };
}

/** Without a layer the last entry of the history fills none. */
function withLayer(config: ImageConfig, added: readonly Descriptor[]): ImageConfig {
  const diffIds = [...config.rootfs.diff_ids, ...added.map(({ digest }) => digest)];
  const history = [...(config.history ?? [])];
  const last = history.pop() ?? {};
  history.push(added.length === 0 ? { ...last, empty_layer: true } : last);
  return { ...config, rootfs: { type: 'layers', diff_ids: diffIds }, history };
}
