/**
 * Hits from record sources. They become records of the local store when their layer's bytes have come in, as a tar or
 * as the blob they were fetched as; what no step and no output needed leaves no trace.
 */
import type { DiffId } from '../image/descriptor.ts';
import type { CacheRecord } from '../store/record-store.ts';
import type { Store } from '../store/store.ts';
import { isWhole } from './local-records.ts';

export class BorrowedRecords {
  readonly #store: Store;
  #records: CacheRecord[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  add(record: CacheRecord): void {
    this.#records.push(record);
  }

  /** Forgets the records of a layer that is not what they say. */
  drop(diffId: DiffId): void {
    this.#records = this.#records.filter(({ layer }) => layer.diffId !== diffId);
  }

  /** Keeps those whose bytes are here. Call once outputs have what they want. */
  keep(): void {
    for (const record of this.#records.splice(0)) {
      if (isWhole(this.#store, record)) this.#store.records.put(record);
    }
  }
}
