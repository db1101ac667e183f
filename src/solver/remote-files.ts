/** Remote sources of ADD: downloads and git repositories as file trees to place files from. */

import { DirectoryTree } from '../context/directory-tree.ts';
import { gitRefOf } from '../dockerfile/remote-source.ts';
import { BuildError, located } from '../errors.ts';
import type { Entry } from '../layer/entry.ts';
import type { FileTree } from '../layer/file-tree.ts';
import type { RemoteSource, TransferStep } from '../plan/step.ts';
import { toByteString } from '../system/byte-path.ts';
import type { RemoteFile } from './remote-sources.ts';
import { type SourceMatch, selectSource } from './select-sources.ts';
import type { SolverContext } from './solver-context.ts';
import { patternSet } from './step-sources.ts';
import { Turns } from './turns.ts';

interface RemoteRequest {
  readonly step: TransferStep;
  readonly source: RemoteSource;
}

/** What stands for the remote content in the step's key. Throws COPY_DOWNLOAD, COPY_CHECKSUM, COPY_GIT. */
export function remoteIdentity(context: SolverContext, { step, source }: RemoteRequest): Promise<string> {
  return placed(step, async () => {
    const { remote } = context.options;
    if (source.kind === 'http') {
      const { checksum } = step;
      // A checksum names the bytes: nothing need be asked of the network.
      const digest = checksum || (await remote.file(source.url, undefined)).digest;
      return JSON.stringify(['http', source.filename, digest]);
    }
    const git = gitRefOf(source.url, step);
    const { commit, ref } = await remote.commit(git);
    const { subdir = '', keepGitDir = false, submodules = true } = git;
    // A kept .git directory names the ref.
    const named = keepGitDir && ref !== undefined ? [ref] : [];
    return JSON.stringify(['git', commit, subdir, keepGitDir, submodules, ...named]);
  });
}

/** Fetches the source. Throws COPY_DOWNLOAD, COPY_CHECKSUM, COPY_GIT. */
export function fetchRemote(context: SolverContext, { step, source }: RemoteRequest): Promise<SourceMatch> {
  return placed(step, async () => {
    const { remote, clock, signal } = context.options;
    if (source.kind === 'http') {
      const file = await remote.file(source.url, step.checksum || undefined);
      return fileMatch(toByteString(source.filename), file, context.store.blobs.path(file.digest));
    }
    const { directory } = await remote.checkout(gitRefOf(source.url, step));
    const tree = new DirectoryTree(toByteString(directory), { clock });
    const [match] = await selectSource(tree, '/', {
      place: 'the repository',
      exclude: step.exclude.length === 0 ? undefined : patternSet(step.exclude),
      parents: false,
      makePatterns: patternSet,
      turns: new Turns(signal),
    });
    if (match === undefined) throw new BuildError('COPY_GIT', 'the repository is empty');
    return match;
  });
}

async function placed<T>(step: TransferStep, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw located(error, step.location);
  }
}

/** A file as the only one of a tree. Its mode, and its time where the server gives none, are those of BuildKit. */
function fileMatch(name: string, { digest, size, modified = 0 }: RemoteFile, blob: string): SourceMatch {
  const entry: Entry = { path: name, type: 'file', mode: 0o600, uid: 0, gid: 0, mtime: modified, size };
  const tree: FileTree = {
    lstat: (path) => (path === name ? entry : undefined),
    list: (path) => (path === '' ? [name] : []),
    content: () => ({ kind: 'file', path: toByteString(blob) }),
    digest: () => digest,
    origin: 'source',
  };
  return { tree, path: name, name, entry, files: [{ path: name, relative: '', entry }] };
}
