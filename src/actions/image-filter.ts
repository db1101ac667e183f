/** `kiln images --filter`: docker's filters, and the pattern it takes as an argument. */
import { parseDuration } from '../dockerfile/duration.ts';
import { matchPath } from '../dockerfile/glob.ts';
import { BuildError } from '../errors.ts';
import { familiarName, parseReference } from '../image/reference.ts';
import type { Store } from '../store/store.ts';
import { findImage, type StoredImage, shortName } from './stored-image.ts';

/** One line of `kiln images`: an image under one of its names. */
export interface NamedRow {
  readonly image: StoredImage;
  /** Full name; undefined for an image without one. */
  readonly name: string | undefined;
}

type Test = (row: NamedRow) => boolean;

const KEYS = ['reference', 'dangling', 'label', 'before', 'since', 'until'];

/**
 * A test made of filters KEY=VALUE: of several references one must match, of all else everything. `now` is in
 * milliseconds. Throws USAGE_FILTER, and STORE_NO_IMAGE for before= and since=.
 */
export function imageFilter(store: Store, filters: readonly string[], now: number): Test {
  const references: Test[] = [];
  const others: Test[] = [];
  for (const filter of filters) {
    const equals = filter.indexOf('=');
    const [key, value] = [filter.slice(0, equals), filter.slice(equals + 1)];
    if (equals < 0 || !KEYS.includes(key)) throw wrongFilter(filter, `Filters: ${KEYS.join('=, ')}=.`);
    if (key === 'reference') references.push(referenceTest(value));
    else others.push(makeTest(key, value, { store, filter, now }));
  }
  return (row) =>
    (references.length === 0 || references.some((test) => test(row))) && others.every((test) => test(row));
}

/** REPOSITORY[:TAG], each with wildcards as in a shell: against the short name, and that without its tag. */
export function referenceTest(pattern: string): Test {
  return ({ name }) => {
    if (name === undefined) return false;
    const repository = familiarName(parseReference(name));
    return matchPath(pattern, shortName(name)) || matchPath(pattern, repository) || pattern === name;
  };
}

function makeTest(
  key: string,
  value: string,
  { store, filter, now }: { readonly store: Store; readonly filter: string; readonly now: number },
): Test {
  const created = ({ image }: NamedRow): number => Date.parse(image.config.created ?? '') || 0;
  switch (key) {
    case 'dangling': {
      if (!/^(?:true|false|1|0)$/.test(value))
        throw wrongFilter(filter, 'Write dangling=true or dangling=false.');
      const wanted = value === 'true' || value === '1';
      return ({ name }) => (name === undefined) === wanted;
    }
    case 'label': {
      const equals = value.indexOf('=');
      const label = equals < 0 ? value : value.slice(0, equals);
      return ({ image }) => {
        const labels = image.config.config?.Labels ?? {};
        return Object.hasOwn(labels, label) && (equals < 0 || labels[label] === value.slice(equals + 1));
      };
    }
    case 'until': {
      const limit = timeOf(value, now);
      if (limit === undefined)
        throw wrongFilter(filter, 'Write until=24h, or a time such as 2026-01-31T12:00:00Z.');
      return (row) => created(row) < limit;
    }
    default: {
      const image = findImage(store, value);
      const other = Date.parse(image.config.created ?? '') || 0;
      return key === 'before' ? (row) => created(row) < other : (row) => created(row) > other;
    }
  }
}

/** A duration back from now, or a point in time, in milliseconds since 1970. */
function timeOf(text: string, now: number): number | undefined {
  try {
    return now - parseDuration(text) / 1e6;
  } catch {
    const at = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text);
    return Number.isNaN(at) ? undefined : at;
  }
}

function wrongFilter(filter: string, remedy: string): BuildError {
  return new BuildError('USAGE_FILTER', `--filter ${filter}: is no filter of images`, {
    suggestions: [remedy],
  });
}
