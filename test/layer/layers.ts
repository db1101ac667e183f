/** Layers made and unpacked in a directory that is gone when the test ends. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Compression, DiffId } from '../../src/image/descriptor.ts';
import type { Entry, LayerToc } from '../../src/layer/entry.ts';
import type { LayerOutput, PackedLayer } from '../../src/layer/layer-writer.ts';
import { packSnapshot } from '../../src/layer/pack-snapshot.ts';
import { type PackItem, packTree } from '../../src/layer/pack-tree.ts';
import { scanLayer } from '../../src/layer/scan.ts';
import { loadToc } from '../../src/layer/toc-file.ts';
import { type UnpackResult, unpackLayer } from '../../src/layer/unpack.ts';
import { run } from '../setup/run.ts';

export class Place {
  readonly directory: string;
  #count = 0;

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'kiln-layer-'));
    onTestFinished(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  /** A new, empty directory. */
  make(purpose: string): string {
    const path = this.path(purpose);
    mkdirSync(path);
    return path;
  }

  /** A path at which nothing is. */
  path(purpose: string): string {
    this.#count += 1;
    return join(this.directory, `${this.#count}-${purpose}`);
  }

  /** A shell script run in a new directory; its path. */
  script(text: string): string {
    const directory = this.make('files');
    run('sh', ['-euc', `cd "$1"; umask 022; ${text}`, 'sh', directory]);
    return directory;
  }

  /** A shell script run in the merged root of an overlay over `lowers` (topmost first); the upper directory. */
  overlay(lowers: readonly string[], text: string): string {
    const [upper, work, merged] = [this.make('upper'), this.make('work'), this.make('merged')];
    const options = `userxattr,lowerdir=${lowers.join(':')},upperdir=${upper},workdir=${work}`;
    const mount = `mount -t overlay overlay -o "$1" "$2"; cd "$2"; umask 022; ${text}`;
    run('unshare', ['-m', 'sh', '-euc', mount, 'sh', options, merged]);
    return upper;
  }

  output(options: Partial<LayerOutput> = {}): LayerOutput {
    return { directory: this.make('layer'), forms: [], epoch: undefined, ...options };
  }

  pack(items: readonly PackItem[], options: Partial<LayerOutput> = {}): Promise<PackedLayer> {
    return packTree(items, this.output(options));
  }

  /** Packs a directory as the changes over `lowers` (topmost first). */
  packChanges(
    upper: string,
    lowers: readonly string[] = [],
    options: Partial<LayerOutput> = {},
  ): Promise<PackedLayer> {
    return packSnapshot({ upper, lowers }, this.output(options));
  }

  /** Unpacks one form of a layer. */
  async unpack(
    layer: PackedLayer,
    compression: Compression = 'uncompressed',
  ): Promise<UnpackResult & { readonly directory: string; readonly toc: LayerToc }> {
    const blob = layer.blobs.find((candidate) => candidate.compression === compression)?.path ?? '';
    return this.unpackFile({ blob, compression, diffId: layer.diffId });
  }

  async unpackFile(blob: {
    blob: string;
    compression?: Compression;
    diffId: DiffId;
  }): Promise<UnpackResult & { readonly directory: string; readonly toc: LayerToc }> {
    const [directory, toc] = [this.make('unpacked'), this.path('toc')];
    const result = await unpackLayer({ compression: 'uncompressed', ...blob, directory, toc });
    return { ...result, directory, toc: loadToc(toc) };
  }

  async scan(blob: { blob: string; compression?: Compression; diffId: DiffId }): Promise<LayerToc> {
    const toc = this.path('toc');
    await scanLayer({ compression: 'uncompressed', ...blob, tar: undefined, toc });
    return loadToc(toc);
  }
}

/** What a tar of ours holds, as `LIST` lines of python's tarfile say. */
export function listTar(path: string): string[] {
  return run('python3', ['-c', LIST, path]).split('\n').filter(Boolean);
}

const LIST = `
import sys, tarfile
for m in tarfile.open(sys.argv[1], errors='surrogateescape'):
    x = sorted((k, v.encode('utf-8', 'surrogateescape').hex()) for k, v in m.pax_headers.items() if k.startswith('SCHILY'))
    name = m.name.encode('utf-8', 'surrogateescape').decode('latin1').encode('unicode_escape').decode()
    link = m.linkname.encode('utf-8', 'surrogateescape').decode('latin1').encode('unicode_escape').decode()
    dev = '%d,%d' % (m.devmajor, m.devminor) if m.isdev() else ''
    print(name, m.type.decode(), oct(m.mode)[2:], '%d:%d' % (m.uid, m.gid), m.size, m.mtime, link, dev, *['%s=%s' % p for p in x])
`;

/** Makes a tar with python: the lines see `t` (the TarFile) and `add(name, type, **fields)`. */
export function pythonTar(path: string, lines: string): DiffId {
  run('python3', ['-c', `${MAKE}\n${lines.trim()}\nt.close()`, path]);
  return sha256Of(path);
}

export function sha256Of(path: string): DiffId {
  return `sha256:${run('sha256sum', [path]).slice(0, 64)}` as DiffId;
}

const MAKE = `
import sys, tarfile, io
t = tarfile.open(sys.argv[1], 'w', format=tarfile.PAX_FORMAT, errors='surrogateescape')
def add(name, type=tarfile.REGTYPE, data=b'', **fields):
    m = tarfile.TarInfo(name); m.type = type; m.size = len(data); m.mode = 0o755 if type == tarfile.DIRTYPE else 0o644
    for k, v in fields.items(): setattr(m, k, v)
    t.addfile(m, io.BytesIO(data))
SYM, LNK, DIR, CHR, BLK, FIFO = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
`;

/** An entry with the usual attributes. */
export function entry(path: string, fields: Partial<Entry> = {}): Entry {
  const mode = fields.type === 'directory' ? 0o755 : 0o644;
  return { path, type: 'file', mode, uid: 0, gid: 0, mtime: 1_700_000_000, size: 0, ...fields };
}

/** A file of a layer with its bytes. */
export function file(path: string, content: string | Buffer, fields: Partial<Entry> = {}): PackItem {
  const bytes = Buffer.from(content);
  return { entry: entry(path, { size: bytes.length, ...fields }), content: { kind: 'bytes', bytes } };
}

/** Paths of a table of contents with a mark for what is no file. */
export function outline({ entries }: LayerToc): string[] {
  const mark: Partial<Record<Entry['type'], string>> = {
    directory: '/',
    whiteout: ' gone',
    opaque: ' opaque',
  };
  return entries.map(
    ({ path, type, linkTarget }) =>
      `${path}${mark[type] ?? ''}${linkTarget === undefined ? '' : ` ${type === 'hardlink' ? '=' : '->'} ${linkTarget}`}`,
  );
}
