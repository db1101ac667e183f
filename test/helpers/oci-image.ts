/** An image as other tools see it: skopeo copies it, umoci unpacks it, GNU tar lists its layers. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, runBytes } from '../setup/run.ts';
import { readTree, type Tree } from './tree.ts';

export interface ConfigFile {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly config: {
    readonly User?: string;
    readonly ExposedPorts?: Record<string, object>;
    readonly Env?: readonly string[];
    readonly Entrypoint?: readonly string[];
    readonly Cmd?: readonly string[];
    readonly Volumes?: Record<string, object>;
    readonly WorkingDir?: string;
    readonly Labels?: Record<string, string>;
    readonly StopSignal?: string;
    readonly OnBuild?: readonly string[];
    readonly Shell?: readonly string[];
    readonly Healthcheck?: Record<string, unknown>;
  };
  readonly rootfs: { readonly type: string; readonly diff_ids: readonly string[] };
  readonly history: readonly {
    readonly created?: string;
    readonly created_by?: string;
    readonly comment?: string;
    readonly empty_layer?: boolean;
  }[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Record<string, string>;
}

interface ManifestFile {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations?: Record<string, string>;
}

/** One line of `tar -tv`. */
export interface ListedEntry {
  /** "-rw-r--r--". */
  readonly mode: string;
  /** "0/0". */
  readonly owner: string;
  /** Bytes, or "major,minor" of a device. */
  readonly size: string;
  /** Without "./" in front and "/" at the end; odd bytes as tar escapes them. */
  readonly name: string;
  /** Target of a symbolic or hard link. */
  readonly link?: string;
}

const REF_NAME = 'org.opencontainers.image.ref.name';

export class OciImage {
  readonly directory: string;
  readonly #scratch: string;
  #tree: Tree | undefined;
  #root: string | undefined;

  private constructor(directory: string, scratch: string) {
    this.directory = directory;
    this.#scratch = scratch;
  }

  /** Any image that skopeo can name: `oci:DIR:TAG`, `oci-archive:F`, `docker-archive:F`, `docker://…`. */
  static open(source: string, scratch: string, options: readonly string[] = []): OciImage {
    mkdirSync(scratch, { recursive: true });
    const copy = join(scratch, 'copy');
    run('skopeo', [
      'copy',
      '--quiet',
      '--insecure-policy',
      // A conversion writes another manifest; everything else must arrive as it was.
      ...(options.length === 0 ? ['--preserve-digests'] : options),
      source,
      `oci:${copy}:image`,
    ]);
    return new OciImage(copy, scratch);
  }

  /** The only image of a layout directory, whatever its name in the index. */
  static fromLayout(directory: string, scratch: string): OciImage {
    return OciImage.open(`oci:${directory}`, scratch);
  }

  /** The entry of the layout's index, as written. */
  get descriptor(): Descriptor {
    const index = JSON.parse(readFileSync(join(this.directory, 'index.json'), 'utf8')) as {
      manifests: Descriptor[];
    };
    const found = index.manifests.find((entry) => entry.annotations?.[REF_NAME] === 'image');
    if (found === undefined) throw new Error('skopeo left no image in the layout');
    return found;
  }

  get digest(): string {
    return this.descriptor.digest;
  }

  get manifest(): ManifestFile {
    return JSON.parse(this.blob(this.digest).toString('utf8')) as ManifestFile;
  }

  get config(): ConfigFile {
    return JSON.parse(this.blob(this.manifest.config.digest).toString('utf8')) as ConfigFile;
  }

  blob(digest: string): Buffer {
    return readFileSync(this.blobPath(digest));
  }

  blobPath(digest: string): string {
    return join(this.directory, 'blobs', ...digest.split(':'));
  }

  /** `created_by` of every history entry that is not the base's. */
  history(): string[] {
    return this.config.history
      .map((entry) => entry.created_by ?? '')
      .filter((line) => !line.startsWith('make-base.sh'));
  }

  /** GNU tar's listing of a layer; negative numbers count from the last. */
  listLayer(index: number): ListedEntry[] {
    const layer = this.manifest.layers.at(index);
    if (layer === undefined)
      throw new Error(`the image has ${this.manifest.layers.length} layers, not one at ${index}`);
    const compression = layer.mediaType.endsWith('zstd')
      ? ['--zstd']
      : layer.mediaType.endsWith('gzip')
        ? ['-z']
        : [];
    const text = run(
      'tar',
      [...compression, '--numeric-owner', '--quoting-style=escape', '-tvf', this.blobPath(layer.digest)],
      { env: { TZ: 'UTC' } },
    );
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map(parseListing);
  }

  /** Names of a layer's entries, sorted; directories included. */
  namesInLayer(index: number): string[] {
    return this.listLayer(index)
      .map((entry) => entry.name)
      .sort();
  }

  /** Number of layers above those of `base`. */
  layersAbove(base: OciImage): number {
    return this.manifest.layers.length - base.manifest.layers.length;
  }

  /** The root file system, unpacked by umoci as root: owners, modes, devices and xattrs as the layers say. */
  get root(): string {
    if (this.#root === undefined) {
      const bundle = join(this.#scratch, 'bundle');
      run('umoci', ['unpack', '--image', `${this.directory}:image`, bundle]);
      this.#root = join(bundle, 'rootfs');
    }
    return this.#root;
  }

  get tree(): Tree {
    this.#tree ??= readTree(this.root);
    return this.#tree;
  }

  /** A text file of the root file system. */
  text(path: string): string {
    return readFileSync(join(this.root, path), 'utf8');
  }

  /** oci-image-tool's word on the layout; throws what it finds. */
  validate(): void {
    run('oci-image-tool', ['validate', '--type', 'image', '--ref', 'name=image', this.directory]);
  }

  /** Every layer's bytes hash to what the config says they are, by gzip(1)/zstd(1) and sha256sum(1). */
  checkDiffIds(): string[] {
    return this.manifest.layers.map(({ digest, mediaType }) => {
      const path = this.blobPath(digest);
      const program = mediaType.endsWith('gzip') ? 'gzip' : mediaType.endsWith('zstd') ? 'zstd' : 'cat';
      const args = program === 'cat' ? [path] : ['-dc', path];
      const sum = run('sh', ['-c', '"$@" | sha256sum', 'sh', program, ...args]);
      return `sha256:${sum.slice(0, 64)}`;
    });
  }

  /** Bytes of one entry of a layer, as tar extracts them. */
  extract(index: number, name: string): Buffer {
    const layer = this.manifest.layers.at(index);
    return runBytes('tar', ['-xOf', this.blobPath(layer?.digest ?? ''), name]);
  }
}

function parseListing(line: string): ListedEntry {
  const match = /^(\S+) (\S+)\s+(\S+) \S+ \S+ (.*)$/.exec(line);
  const [, mode = '', owner = '', size = '', rest = ''] = match ?? [];
  if (match === null) throw new Error(`tar printed a line that is not a listing: ${line}`);
  const separator = mode.startsWith('l') ? ' -> ' : ' link to ';
  const at = mode.startsWith('l') || mode.startsWith('h') ? rest.indexOf(separator) : -1;
  const name = (at < 0 ? rest : rest.slice(0, at)).replace(/^\.\//, '').replace(/\/$/, '');
  return { mode, owner, size, name, ...(at < 0 ? {} : { link: rest.slice(at + separator.length) }) };
}
