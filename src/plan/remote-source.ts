/** Tells remote sources of ADD (and remote contexts) from local paths, as BuildKit does. Pure. */

/** user@host:path, the scp-like form of a git URL. */
const SCP_FORM = /^[a-zA-Z0-9_.-]+@[a-zA-Z0-9.-]+:(?!\/\/)/;

/** True for a git repository: git:// ssh:// URLs, user@host:path, and http(s) URLs whose path ends in .git. */
export function isGitSource(source: string): boolean {
  if (/^(?:git|ssh|git\+https?|git\+ssh):\/\//.test(source)) return true;
  if (SCP_FORM.test(source)) return true;
  const http = /^https?:\/\/([^?#]*)/.exec(source);
  if (http !== null) return /\.git\/?$/.test(http[1] ?? '');
  return /^github\.com\/[^/]+\/[^/]+/.test(source);
}

/** True for an http(s) URL that is not a git repository. */
export function isHttpSource(source: string): boolean {
  return /^https?:\/\//.test(source) && !isGitSource(source);
}

export interface GitRef {
  /** What git fetches from, without fragment and query. */
  readonly remote: string;
  /** Branch, tag, commit or other ref; undefined is the remote's HEAD. */
  readonly ref?: string | undefined;
  /** Directory inside the repository that is taken as the root. */
  readonly subdir?: string | undefined;
  readonly checksum?: string | undefined;
  readonly keepGitDir?: boolean | undefined;
  readonly submodules?: boolean | undefined;
}

/** Reads `repo.git#ref:subdir` and the query form `?ref=…&branch=…&tag=…&subdir=…&checksum=…&keep-git-dir=…`. */
export function parseGitRef(source: string): GitRef {
  const hash = source.indexOf('#');
  const beforeHash = hash < 0 ? source : source.slice(0, hash);
  const fragment = hash < 0 ? '' : source.slice(hash + 1);
  const question = beforeHash.indexOf('?');
  const base = question < 0 ? beforeHash : beforeHash.slice(0, question);
  const query = new URLSearchParams(question < 0 ? '' : beforeHash.slice(question + 1));
  const colon = fragment.indexOf(':');
  const fragmentRef = colon < 0 ? fragment : fragment.slice(0, colon);
  const fragmentDir = colon < 0 ? '' : fragment.slice(colon + 1);
  const tag = query.get('tag');
  const branch = query.get('branch');
  const ref =
    query.get('ref') ??
    (tag === null ? undefined : `refs/tags/${tag}`) ??
    (branch === null ? undefined : `refs/heads/${branch}`);
  const keep = query.get('keep-git-dir');
  const submodules = query.get('submodules');
  return {
    remote: base.replace(/^git\+/, '').replace(/^github\.com\//, 'https://github.com/'),
    ref: ref ?? (fragmentRef === '' ? undefined : fragmentRef),
    subdir: query.get('subdir') ?? (fragmentDir === '' ? undefined : fragmentDir),
    checksum: query.get('checksum') ?? query.get('commit') ?? undefined,
    keepGitDir: keep === null ? undefined : keep === '' || keep === 'true' || keep === '1',
    submodules: submodules === null ? undefined : submodules !== 'false' && submodules !== '0',
  };
}
