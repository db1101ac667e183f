/** Tells remote sources of ADD and remote contexts from local paths, as BuildKit does, and reads git addresses. Pure. */
import { BuildError } from '../errors.ts';

/** user@host:path, the scp-like form of a git URL. */
const SCP_FORM = /^[a-zA-Z0-9_.-]+@[a-zA-Z0-9.-]+:(?!\/\/)/;

/** True for a git repository: git:// and ssh:// URLs, user@host:path, and http(s) URLs whose path ends in .git. */
export function isGitSource(source: string): boolean {
  if (/^(?:git|ssh|git\+https?|git\+ssh):\/\//.test(source)) return true;
  if (SCP_FORM.test(source)) return true;
  const http = /^https?:\/\/([^?#]*)/.exec(source);
  return http?.[1]?.endsWith('.git') === true;
}

/** As `isGitSource`; a context may also be written github.com/OWNER/REPOSITORY. */
export function isGitContext(source: string): boolean {
  return isGitSource(source) || /^github\.com\/[^/]+\/[^/]+/.test(source);
}

/** True for an http(s) URL that is not a git repository. */
export function isHttpSource(source: string): boolean {
  return /^https?:\/\//.test(source) && !isGitSource(source);
}

/** A repository, and what of it is meant. */
export interface GitRef {
  /** What git fetches from, without fragment and query. */
  readonly remote: string;
  /** Branch, tag, commit or other ref; undefined is the remote's HEAD. */
  readonly ref?: string | undefined;
  /** Directory inside the repository that is taken as the root. */
  readonly subdir?: string | undefined;
  /** A commit, or the beginning of one, that the ref must stand for. */
  readonly checksum?: string | undefined;
  readonly keepGitDir?: boolean | undefined;
  readonly submodules?: boolean | undefined;
}

/** The repository an ADD names; its own flags go before what the address says. Throws COPY_GIT as `parseGitRef`. */
export function gitRefOf(
  address: string,
  {
    checksum,
    keepGitDir,
  }: { readonly checksum?: string | undefined; readonly keepGitDir?: boolean | undefined },
): GitRef {
  const parsed = parseGitRef(address);
  return {
    ...parsed,
    keepGitDir: keepGitDir ?? parsed.keepGitDir,
    checksum: checksum === undefined || checksum === '' ? parsed.checksum : checksum,
  };
}

/**
 * Reads `repo.git#ref:subdir` and the query form `?ref=…&branch=…&tag=…&subdir=…&checksum=…&keep-git-dir=…&submodules=…`.
 * Throws COPY_GIT for a query that says nothing known, or two things at once.
 */
export function parseGitRef(source: string): GitRef {
  const hash = source.indexOf('#');
  const beforeHash = hash < 0 ? source : source.slice(0, hash);
  const fragment = hash < 0 ? '' : source.slice(hash + 1);
  const question = beforeHash.indexOf('?');
  const base = question < 0 ? beforeHash : beforeHash.slice(0, question);
  const colon = fragment.indexOf(':');
  const query = readQuery(question < 0 ? '' : beforeHash.slice(question + 1));
  const tag = prefixed('refs/tags/', query.get('tag'));
  const branch = prefixed('refs/heads/', query.get('branch'));
  if (tag !== undefined && branch !== undefined) throw wrong('branch conflicts with tag');
  const named = colon < 0 ? fragment : fragment.slice(0, colon);
  const checksum = query.get('checksum') ?? query.get('commit');
  const ref = agreed('ref', [named || undefined, query.get('ref'), tag, branch]) ?? checksum;
  return {
    remote: base.replace(/^git\+/, '').replace(/^github\.com\//, 'https://github.com/'),
    ref,
    subdir: agreed('subdir', [
      colon < 0 ? undefined : fragment.slice(colon + 1) || undefined,
      query.get('subdir'),
    ]),
    checksum,
    keepGitDir: flag('keep-git-dir', query.get('keep-git-dir')),
    submodules: flag('submodules', query.get('submodules')),
  };
}

const QUERIES = ['ref', 'tag', 'branch', 'subdir', 'checksum', 'commit', 'keep-git-dir', 'submodules'];
const FLAGS = ['keep-git-dir', 'submodules'];

function readQuery(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(text)) {
    if (!QUERIES.includes(key)) throw wrong(`unexpected query "${key}"`);
    if (values.has(key)) throw wrong(`query "${key}" has multiple values`);
    if (value === '' && !FLAGS.includes(key)) throw wrong(`query "${key}" has no value`);
    values.set(key, value);
  }
  return values;
}

function prefixed(prefix: string, name: string | undefined): string | undefined {
  return name === undefined || name.startsWith(prefix) ? name : `${prefix}${name}`;
}

function agreed(what: string, values: readonly (string | undefined)[]): string | undefined {
  const [first, ...others] = values.filter((value) => value !== undefined);
  const other = others.find((value) => value !== first);
  if (other !== undefined) throw wrong(`${what} conflicts: "${first}" vs "${other}"`);
  return first;
}

function flag(name: string, value: string | undefined): boolean | undefined {
  if (value === undefined) return undefined;
  if (/^(?:|1|t|true)$/i.test(value)) return true;
  if (/^(?:0|f|false)$/i.test(value)) return false;
  throw wrong(`invalid ${name} value: "${value}"`);
}

function wrong(message: string): BuildError {
  return new BuildError('COPY_GIT', `git address: ${message}`, {
    suggestions: ['Write REPOSITORY.git#REF:DIRECTORY, or REPOSITORY.git?branch=NAME&subdir=DIRECTORY.'],
  });
}
