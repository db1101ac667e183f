/**
 * Image references as docker writes them: `[registry/]repository[:tag][@digest]`.
 * The grammar is that of github.com/distribution/reference; short names mean Docker Hub.
 */
import { BuildError } from '../errors.ts';
import { type Digest, isDigest } from './descriptor.ts';

/** A parsed reference; always with its registry, so `alpine` has become docker.io and library/alpine. */
export interface ImageReference {
  /** Host as in the reference, with its port: "docker.io", "localhost:5000", "[::1]:5000". */
  readonly registry: string;
  /** Path below the registry: "library/alpine". At most 255 characters. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

/** The registry that short names mean. */
const DEFAULT_REGISTRY = 'docker.io';

const MAX_REPOSITORY_LENGTH = 255;
/** Far above any valid reference; keeps the patterns below from seeing a megabyte of text. */
const MAX_REFERENCE_LENGTH = 1024;

const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const HOST = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const ANY_DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;

/**
 * Parses a reference and fills in what short names leave out (registry docker.io, namespace library/).
 * The tag stays absent when it was absent; see {@link withDefaultTag}.
 * Throws BuildError IMAGE_INVALID_REFERENCE.
 */
export function parseReference(text: string): ImageReference {
  if (text === '') throw invalid(text, 'it is empty', 'Write a name such as alpine:3.20.');
  if (text.length > MAX_REFERENCE_LENGTH)
    throw invalid(text, `it is longer than ${MAX_REFERENCE_LENGTH} characters`);
  if (/^[a-z]+:\/\//.test(text)) {
    throw invalid(text, 'it starts with a URL scheme', `Write ${text.replace(/^[a-z]+:\/\//, '')}.`);
  }
  const { name, tag, digest } = splitSuffixes(text);
  const { registry, path } = splitRegistry(name);
  checkRegistry(text, registry);
  checkRepository(text, path);
  if (registry === DEFAULT_REGISTRY && path === name && /^[0-9a-f]{64}$/.test(name)) {
    throw invalid(
      text,
      'a bare image ID cannot name an image in a registry',
      'Use a name, or name@sha256:<digest>.',
    );
  }
  const reference: { -readonly [Key in keyof ImageReference]: ImageReference[Key] } = {
    registry,
    repository: registry === DEFAULT_REGISTRY && !path.includes('/') ? `library/${path}` : path,
  };
  if (tag !== undefined) reference.tag = checkTag(text, tag);
  if (digest !== undefined) reference.digest = checkDigest(text, digest);
  return reference;
}

/** The whole reference with registry and namespace: "docker.io/library/alpine:3.20@sha256:…". */
export function formatReference(reference: ImageReference): string {
  return `${reference.registry}/${reference.repository}${suffix(reference)}`;
}

/** The name a person would type, without tag and digest: "alpine", "team/app", "ghcr.io/team/app". */
export function familiarName(reference: ImageReference): string {
  if (reference.registry !== DEFAULT_REGISTRY) return `${reference.registry}/${reference.repository}`;
  const short = /^library\/([^/]+)$/.exec(reference.repository)?.[1];
  // A repository such as "localhost/x" or "a.b/x" on docker.io would be read as a host when shortened.
  if (short !== undefined) return short;
  const shortened = splitRegistry(reference.repository);
  return shortened.registry === DEFAULT_REGISTRY && shortened.path === reference.repository
    ? reference.repository
    : `${DEFAULT_REGISTRY}/${reference.repository}`;
}

/** The short form with tag and digest: "alpine:3.20". */
export function familiarReference(reference: ImageReference): string {
  return `${familiarName(reference)}${suffix(reference)}`;
}

/** The same reference with tag "latest" when it has neither tag nor digest. */
export function withDefaultTag(reference: ImageReference): ImageReference {
  return reference.tag === undefined && reference.digest === undefined
    ? { ...reference, tag: 'latest' }
    : reference;
}

/** The part of a reference that a registry is asked for: the digest if there is one, else the tag or "latest". */
export function manifestName(reference: ImageReference): string {
  return reference.digest ?? reference.tag ?? 'latest';
}

/** True when both name the same repository, whatever their tags and digests. */
export function sameRepository(a: ImageReference, b: ImageReference): boolean {
  return a.registry === b.registry && a.repository === b.repository;
}

function suffix({ tag, digest }: ImageReference): string {
  return (tag === undefined ? '' : `:${tag}`) + (digest === undefined ? '' : `@${digest}`);
}

/** Takes "@digest" and then ":tag" off the end; a colon before the last slash belongs to a port. */
function splitSuffixes(text: string): { name: string; tag?: string; digest?: string } {
  const at = text.indexOf('@');
  const named = at < 0 ? text : text.slice(0, at);
  const digest = at < 0 ? {} : { digest: text.slice(at + 1) };
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  // "[::1]" alone is a host without a path, which the checks of the repository will say.
  if (colon < 0 || (named.startsWith('[') && !named.includes('/'))) return { name: named, ...digest };
  return { name: named.slice(0, colon), tag: named.slice(colon + 1), ...digest };
}

/** The first component is a host if it could be nothing else: a dot, a port, "localhost" or an upper-case letter. */
function splitRegistry(name: string): { registry: string; path: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isHost = /[.:]/.test(first) || first === 'localhost' || first.toLowerCase() !== first;
  if (slash < 0 || !isHost) return { registry: DEFAULT_REGISTRY, path: name };
  const registry = first === 'index.docker.io' ? DEFAULT_REGISTRY : first;
  return { registry, path: name.slice(slash + 1) };
}

function checkRegistry(text: string, registry: string): void {
  if (HOST.test(registry)) return;
  throw invalid(
    text,
    `"${registry}" is not a registry host`,
    'Write the host as name, name:port or [IPv6]:port, without https://.',
  );
}

function checkRepository(text: string, path: string): void {
  if (path.length > MAX_REPOSITORY_LENGTH) {
    throw invalid(
      text,
      `the repository name has ${path.length} characters, at most ${MAX_REPOSITORY_LENGTH} are allowed`,
    );
  }
  if (path.toLowerCase() !== path) {
    throw invalid(
      text,
      'a repository name must be lower case',
      `Write ${text.replace(path, path.toLowerCase())}.`,
    );
  }
  const wrong = path.split('/').find((component) => !COMPONENT.test(component));
  if (wrong === undefined) return;
  const what =
    wrong === '' ? 'a part of the repository name is empty' : `"${wrong}" is not a repository name`;
  throw invalid(
    text,
    what,
    'Use lower-case letters and digits, with single . or _, __ or dashes between them.',
  );
}

function checkTag(text: string, tag: string): string {
  if (TAG.test(tag)) return tag;
  const what = tag === '' ? 'the tag after ":" is empty' : `"${tag.slice(0, 140)}" is not a tag`;
  throw invalid(text, what, 'A tag has 1 to 128 letters, digits, _ . or -, and starts with none of . and -.');
}

function checkDigest(text: string, digest: string): Digest {
  if (isDigest(digest)) return digest;
  if (ANY_DIGEST.test(digest) && !digest.startsWith('sha256:')) {
    throw invalid(
      text,
      `digests of type ${digest.slice(0, digest.indexOf(':'))} are not supported`,
      'Use the sha256 digest.',
    );
  }
  throw invalid(
    text,
    `"${digest.slice(0, 140)}" is not a digest`,
    'A digest is sha256: and 64 lower-case hex digits.',
  );
}

function invalid(text: string, why: string, remedy?: string): BuildError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return new BuildError('IMAGE_INVALID_REFERENCE', `invalid image reference "${shown}": ${why}`, {
    suggestions: [remedy ?? 'A reference is [registry/]name[:tag][@digest], such as ghcr.io/team/app:1.0.'],
  });
}
