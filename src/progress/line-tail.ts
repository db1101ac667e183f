/** The last lines of an output that may be endless. */

export interface LineTailLimits {
  readonly lines: number;
  /** UTF-16 units over all kept lines; a line longer than this loses its beginning. */
  readonly characters: number;
}

/** Keeps the last lines pushed into it, within a fixed amount of memory. */
export class LineTail {
  readonly #limits: LineTailLimits;
  #lines: string[] = [];
  #start = 0;
  #characters = 0;

  constructor(limits: LineTailLimits) {
    this.#limits = limits;
  }

  /** The kept lines, oldest first. */
  get lines(): readonly string[] {
    return this.#lines.slice(this.#start);
  }

  /** The last `count` lines. */
  last(count: number): readonly string[] {
    return count <= 0 ? [] : this.#lines.slice(Math.max(this.#start, this.#lines.length - count));
  }

  push(line: string): void {
    const kept = line.length > this.#limits.characters ? line.slice(-this.#limits.characters) : line;
    this.#lines.push(kept);
    this.#characters += kept.length;
    while (this.#isOverfull()) {
      this.#characters -= this.#lines[this.#start]?.length ?? 0;
      this.#start += 1;
    }
    // Shifting an array moves all of it; dropping the dead half once in a while costs nothing.
    if (this.#start > 64 && this.#start > this.#lines.length / 2) {
      this.#lines = this.#lines.slice(this.#start);
      this.#start = 0;
    }
  }

  #isOverfull(): boolean {
    const count = this.#lines.length - this.#start;
    return count > this.#limits.lines || this.#characters > this.#limits.characters;
  }
}
