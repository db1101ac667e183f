/** Copies of layers for a layout, written while the layers are packed: what is written anew later would be read again. */
import { join } from 'node:path';
import { type Digest, hexOf } from '../image/descriptor.ts';
import { formName } from '../image/layer-form.ts';
import { UnnamedFile } from '../system/unnamed-file.ts';
import type { LayerForm, OutputSpec } from './output-spec.ts';

/** Bytes from which a copy is kept: a smaller one is soon written again, and need not be open until then. */
const WORTHWHILE = 1 << 20;

/** Where blobs of a layout are. */
export function layoutBlob(destination: string, digest: Digest): string {
  return join(destination, 'blobs', 'sha256', hexOf(digest));
}

export class LayoutCopies {
  readonly #destination: string | undefined;
  readonly #form: string | undefined;
  readonly #open = new Map<number, UnnamedFile>();
  readonly #made = new Map<Digest, UnnamedFile>();

  /** For the first output that is a layout. */
  constructor(outputs: readonly OutputSpec[]) {
    const spec = outputs.find((output) => output.type === 'oci' && !output.tar);
    if (spec?.type !== 'oci') return;
    this.#destination = spec.destination;
    this.#form = formName(spec.form);
  }

  /** A descriptor for the copy of a blob in a form; undefined where nobody wants one. */
  begin(form: Pick<LayerForm, 'compression' | 'level'>): number | undefined {
    if (this.#destination === undefined || formName(form) !== this.#form) return undefined;
    const file = UnnamedFile.near(this.#destination);
    if (file !== undefined) this.#open.set(file.fd, file);
    return file?.fd;
  }

  /** The copy is whole. */
  made(fd: number, { digest, size }: { readonly digest: Digest; readonly size: number }): void {
    const file = this.#open.get(fd);
    if (file === undefined) return;
    if (size >= WORTHWHILE && !this.#made.has(digest)) this.#made.set(digest, file);
    else this.#close(file);
  }

  /** Puts the copy of a blob into the layout. False where there is none, or none that can go there. */
  place(destination: string, digest: Digest): boolean {
    // In a second layout it would be the same file, and not a copy.
    if (destination !== this.#destination) return false;
    return this.#made.get(digest)?.name(layoutBlob(destination, digest)) ?? false;
  }

  /** Of what has no name, nothing stays. No copy may be under way. */
  close(): void {
    for (const file of [...this.#open.values()]) this.#close(file);
    this.#made.clear();
  }

  #close(file: UnnamedFile): void {
    this.#open.delete(file.fd);
    file.close();
  }
}
