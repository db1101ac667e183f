import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { LayerDiff } from '../actions/diff-images.ts';
import { BuildError } from '../errors.ts';
import type { Listing, Row } from '../format/listing.ts';
import type { TreeChange } from '../layer/compare-trees.ts';
import type { SnapshotChange } from '../layer/pack-snapshot.ts';
import type { NamespaceTask } from '../namespace-main.ts';
import { KilnCommand } from './kiln-command.ts';
import { formatFlag } from './shared-flags.ts';

/** Words before each group of layers. */
const SIDES = { both: '=', first: '-', second: '+' } as const;

const LISTING: Listing = {
  headings: { Kind: 'KIND', Path: 'PATH', Size: 'SIZE', SizeBytes: 'BYTES', Layer: 'LAYER' },
  columns: ['Kind', 'Size', 'Path'],
};

export default class Diff extends KilnCommand {
  static override description =
    'Show the files that a container has changed, or that differ between two images: A added, C changed, D deleted. Times of files do not count between images.';

  static override usage = ['diff CONTAINER', 'diff IMAGE IMAGE [--layers]'];

  static override args = {
    container: Args.string({
      description: 'name or ID of a container; or of an image, with another one',
      required: true,
    }),
    image: Args.string({ description: 'the image to compare with', ignoreStdin: true }),
  };

  static override flags = {
    size: Flags.boolean({
      char: 's',
      description: 'sizes of files (default for images)',
      allowNo: true,
    }),
    layers: Flags.boolean({ description: 'of images: layer by layer as well' }),
    format: formatFlag(),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Diff);
    const root = this.storeRoot(flags.root);
    const { container, image } = args;
    if (image === undefined) {
      const changes = await this.#container(root, container);
      await this.#print(
        changes.map((change) => ({ change })),
        { size: flags.size ?? false, format: flags.format },
      );
      return;
    }
    const { signal } = this.interruption();
    const [{ Store }, { diffImages }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/diff-images.ts'),
    ]);
    const { layers } = flags;
    const diff = await diffImages(Store.open(root), [container, image], { layers, signal });
    const shown: Shown[] = layers
      ? diff.layers.flatMap((layer) => [{ layer }, ...layer.changes.map((change) => ({ change, layer }))])
      : diff.changes.map((change) => ({ change }));
    await this.#print(shown, { size: flags.size ?? true, format: flags.format });
  }

  async #container(root: string, text: string): Promise<readonly SnapshotChange[]> {
    const { signal, killSignal } = this.interruption();
    const [{ Store }, { enterNamespace }] = await Promise.all([
      import('../store/store.ts'),
      import('../executor/namespace.ts'),
    ]);
    const { id } = findContainer(() => Store.open(root).containers.find(text), text);
    const payload: NamespaceTask = { task: 'container', request: { root, kind: 'changes', container: id } };
    return enterNamespace({ payload, env: { ...process.env }, signal, killSignal });
  }

  async #print(
    shown: readonly Shown[],
    { size, format }: { readonly size: boolean; readonly format: string | undefined },
  ): Promise<void> {
    const [{ renderListing }, { formatSize }, { toText }] = await Promise.all([
      import('../format/listing.ts'),
      import('../format/units.ts'),
      import('../system/byte-path.ts'),
    ]);
    const sizeOf = ({ size: now, before = now }: TreeChange): string => {
      const [old, shownSize] = [formatSize(before), formatSize(now)];
      return old === shownSize ? shownSize : `${old}→${shownSize}`;
    };
    if (format !== undefined) {
      const rows = shown.flatMap(({ change, layer }): Row[] =>
        change === undefined
          ? []
          : [
              {
                Kind: change.kind,
                Path: `/${toText(change.path)}`,
                Size: formatSize(change.size),
                SizeBytes: change.size,
                ...(layer === undefined ? {} : { Layer: layer.diffId }),
              },
            ],
      );
      process.stdout.write(renderListing(rows, LISTING, { format, width: undefined }));
      return;
    }
    const width = Math.max(
      0,
      ...shown.map(({ change }) => (change === undefined ? 0 : sizeOf(change).length)),
    );
    const lines = shown.map(({ change, layer }) => {
      if (change === undefined) return layer === undefined ? '' : heading(layer, formatSize(layer.size));
      const indent = layer === undefined ? '' : '    ';
      const column = size ? `${sizeOf(change).padStart(width)} ` : '';
      return `${indent}${change.kind} ${column}/${toText(change.path)}`;
    });
    process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  }
}

/** A line: a change, or the layer that the changes after it are of. */
interface Shown {
  readonly change?: TreeChange;
  readonly layer?: LayerDiff;
}

function heading({ side, diffId, createdBy }: LayerDiff, size: string): string {
  return `${SIDES[side]} ${diffId.slice(7, 19)} ${size} ${createdBy.replaceAll(/\s+/g, ' ')}`.trimEnd();
}

function findContainer<Found>(find: () => Found, text: string): Found {
  try {
    return find();
  } catch (error) {
    if (!(error instanceof BuildError) || error.code !== 'CONTAINER_NOT_FOUND') throw error;
    throw new BuildError(error.code, error.message, {
      suggestions: ['See kiln ps -a.', `Of images, two are compared: kiln diff ${text} IMAGE.`],
    });
  }
}
