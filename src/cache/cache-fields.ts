/** Fields of one cache flag, read by name with messages that say what would have been right. */
import { parseByteSize } from '../dockerfile/byte-size.ts';
import { splitCsv } from '../dockerfile/csv.ts';
import { parseDuration } from '../dockerfile/duration.ts';
import { didYouMean } from '../dockerfile/suggest.ts';
import { BuildError, messageOf } from '../errors.ts';

/** Types that other builders have and kiln has not. */
const ELSEWHERE = ['gha', 's3', 'azblob'];

const NANOSECONDS = 1e6;

export class CacheFields {
  readonly #flag: string;
  readonly #text: string;
  readonly #fields: readonly (readonly [key: string, value: string])[];

  private constructor(flag: string, text: string, fields: readonly (readonly [string, string])[]) {
    this.#flag = flag;
    this.#text = text;
    this.#fields = fields;
  }

  /** The fields of a value; one a reference where only references are named, as in docker. Throws USAGE_CACHE. */
  static read(flag: string, text: string): CacheFields[] {
    const wrong = (message: string): BuildError => new CacheFields(flag, text, []).wrong(message, []);
    let parts: string[];
    try {
      parts = text.trim() === '' ? [] : splitCsv(text);
    } catch (error) {
      throw wrong(messageOf(error));
    }
    if (parts.length === 0) throw wrong('it is empty');
    if (parts.every((part) => !part.includes('='))) {
      return parts.map((part) => {
        return new CacheFields(flag, text, [
          ['type', 'registry'],
          ['ref', part.trim()],
        ]);
      });
    }
    const fields = parts.map((part): [string, string] => {
      const equals = part.indexOf('=');
      if (equals < 1) throw wrong(`"${part}" is no key=value`);
      return [part.slice(0, equals).trim().toLowerCase(), part.slice(equals + 1).trim()];
    });
    return [new CacheFields(flag, text, fields)];
  }

  wrong(message: string, suggestions: readonly string[]): BuildError {
    const shown = this.#text.trim() === '' ? '""' : this.#text;
    const help =
      suggestions.length > 0
        ? suggestions
        : ['Write type=registry,ref=REGISTRY/REPOSITORY:TAG, for example.'];
    return new BuildError('USAGE_CACHE', `${this.#flag} ${shown}: ${message}`, { suggestions: help });
  }

  /** The value said last. */
  get(key: string): string | undefined {
    return this.#fields.findLast(([name]) => name === key)?.[1];
  }

  all(key: string): string[] {
    return this.#fields.flatMap(([name, value]) => (name === key ? [value] : []));
  }

  required(key: string, example: string): string {
    const value = this.get(key);
    if (value === undefined || value === '') throw this.wrong(`${key} is missing`, [`Write ${example}.`]);
    return value;
  }

  type<T extends string>(known: readonly T[]): T {
    const type = this.get('type');
    if (type === undefined) throw this.wrong('type is missing', [`Types: ${known.join(', ')}.`]);
    if (known.includes(type as T)) return type as T;
    if (ELSEWHERE.includes(type)) {
      throw this.wrong(`kiln has no cache of type ${type}`, [
        `Use one of ${known.join(', ')}: a registry keeps a cache on every CI service.`,
      ]);
    }
    const near = didYouMean(type, known);
    throw this.wrong(`unknown type "${type}"`, near.length > 0 ? near : [`Types: ${known.join(', ')}.`]);
  }

  refuseOthers(known: readonly string[]): void {
    for (const [key] of this.#fields) {
      if (key === 'type' || known.includes(key)) continue;
      const near = didYouMean(key, known);
      throw this.wrong(`unknown option "${key}"`, near.length > 0 ? near : [`Options: ${known.join(', ')}.`]);
    }
  }

  choice<T extends string>(key: string, choices: readonly T[], fallback: T): T {
    const value = this.get(key);
    if (value === undefined) return fallback;
    if (choices.includes(value as T)) return value as T;
    const near = didYouMean(value, choices);
    throw this.wrong(
      `${key} cannot be "${value}"`,
      near.length > 0 ? near : [`${key} is one of ${choices.join(', ')}.`],
    );
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.get(key);
    if (value === undefined) return fallback;
    if (/^(?:true|1|t)$/i.test(value)) return true;
    if (/^(?:false|0|f)$/i.test(value)) return false;
    throw this.wrong(`${key} must be true or false, not "${value}"`, [`Write ${key}=true or ${key}=false.`]);
  }

  /** Milliseconds of a Go duration that may also count days. */
  age(key: string, fallback: number): number {
    const value = this.get(key);
    if (value === undefined) return fallback;
    try {
      const hours = value.replace(/(\d+(?:\.\d+)?)d/g, (_, days: string) => `${Number(days) * 24}h`);
      const age = parseDuration(hours) / NANOSECONDS;
      if (age >= 0) return age;
    } catch {
      // Said below.
    }
    throw this.wrong(`${key} ${value} is no time`, [`Write ${key}=168h, for example.`]);
  }

  size(key: string): number | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    const size = parseByteSize(value);
    if (size === undefined)
      throw this.wrong(`${key} ${value} is no size`, [`Write ${key}=5GB, for example.`]);
    return size;
  }
}
