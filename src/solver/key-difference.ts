/** The first part in which a step's key differs from that of a recorded build, in words. Never a secret's value. */
import { looksSecret } from '../dockerfile/secret-names.ts';
import { isDigest, type KeyPart } from '../image/descriptor.ts';
import { RUN_AGAIN } from '../plan/cache-key.ts';
import type { CacheDifference } from '../progress/event.ts';
import { type ChangedFile, fileListDifference } from './file-list-difference.ts';

export interface Explained {
  readonly reason: string;
  readonly difference: CacheDifference;
}

/** How things around the key are called, and where lists of files are. */
export interface KeyWords {
  /** What the step stands on: its label, or the base image. */
  readonly parent: { readonly name: string; readonly step?: string };
  /** Where source number N, or what is mounted at a target, comes from. */
  readonly placeOf: (part: string) => string;
  /** True for a build argument, false for an environment variable. */
  readonly isArgument: (variable: string) => boolean;
  /** Text of a list by its digest. */
  readonly fileList: (digest: string) => Promise<string | undefined>;
}

interface PartChange {
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** A step's own causes come before what it inherits from the steps below it. */
const ORDER = [
  /^platform$/,
  /^(?:argv|script|destination|path)$/,
  /^env /,
  /^(?!parent$|format$)/,
  /^parent$/,
  /./,
];

/** Explains; undefined when the keys have the same parts. */
export async function keyDifference(
  before: readonly KeyPart[],
  after: readonly KeyPart[],
  words: KeyWords,
): Promise<Explained | undefined> {
  const changes = changesOf(new Map(before), new Map(after));
  const first = ORDER.map((rank) => changes.find(({ name }) => rank.test(name))).find(
    (change) => change !== undefined,
  );
  return first === undefined ? undefined : describe(first, words);
}

function changesOf(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): PartChange[] {
  const names = new Set([...after.keys(), ...before.keys()]);
  names.delete(RUN_AGAIN);
  return [...names].flatMap((name) => {
    const change = { name, before: before.get(name), after: after.get(name) };
    return change.before === change.after ? [] : [change];
  });
}

async function describe(change: PartChange, words: KeyWords): Promise<Explained> {
  const { name, before, after } = change;
  if (name === 'parent') return parentOf(words);
  if (name === 'format') {
    return { reason: 'it was recorded by another version of kiln', difference: { part: 'option', name } };
  }
  if (name.startsWith('env ')) return variable(change, words);
  if (/^(?:source|mounted) /.test(name) || name.startsWith('mounted at ')) return inputOf(change, words);
  if (name.startsWith('mount ')) {
    const target = name.slice('mount '.length);
    const reason = `the mount at ${target} ${before === undefined ? 'is new' : after === undefined ? 'is gone' : 'has other options'}`;
    return { reason, difference: { part: 'mount', name: target } };
  }
  const [part, called] = WRITTEN[name] ?? ['option', name];
  const texts = { before: shown(name, before), after: shown(name, after) };
  return {
    reason: `${called} differs: ${quoted(texts.after)}, was ${quoted(texts.before)}`,
    difference: { part, ...(part === 'instruction' ? {} : { name }), ...defined(texts) },
  };
}

/** Parts that stand in the Dockerfile, or as good as, with their names in messages. */
const WRITTEN: Readonly<Record<string, readonly [CacheDifference['part'], string]>> = {
  platform: ['platform', 'the platform'],
  argv: ['instruction', 'the command'],
  script: ['instruction', 'the script'],
  destination: ['instruction', 'the destination'],
  path: ['instruction', 'the path'],
  cwd: ['option', 'WORKDIR'],
  user: ['option', 'USER'],
  network: ['option', 'the network'],
  hosts: ['option', '--add-host'],
  ulimits: ['option', '--ulimit'],
  'shm-size': ['option', '--shm-size'],
  chown: ['option', '--chown'],
  chmod: ['option', '--chmod'],
  exclude: ['option', '--exclude'],
  options: ['option', 'the set of flags (--link, --parents, --unpack, --keep-git-dir)'],
};

function parentOf({ parent }: KeyWords): Explained {
  const { name, step } = parent;
  if (step === undefined) {
    return { reason: `the base is another one: ${name}`, difference: { part: 'base', after: name } };
  }
  return { reason: `it stands on another result of ${name}`, difference: { part: 'parent', parent: step } };
}

function variable({ name: part, before, after }: PartChange, { isArgument }: KeyWords): Explained {
  const name = part.slice('env '.length);
  const kind = isArgument(name) ? 'ARG' : 'ENV';
  const how = before === undefined ? 'is new' : after === undefined ? 'is gone' : 'differs';
  const hidden = looksSecret(name);
  const values = hidden ? {} : defined({ before: clipped(before), after: clipped(after) });
  const compared = how === 'differs' && !hidden ? `: ${quoted(after)}, was ${quoted(before)}` : '';
  return { reason: `${kind} ${name} ${how}${compared}`, difference: { part: 'variable', name, ...values } };
}

async function inputOf({ name, before, after }: PartChange, words: KeyWords): Promise<Explained> {
  const place = words.placeOf(name);
  const lists = [listIn(before), listIn(after)] as const;
  if (lists[0] !== undefined && lists[1] !== undefined) {
    const [old, now] = await Promise.all([words.fileList(lists[0]), words.fileList(lists[1])]);
    if (old !== undefined && now !== undefined) return files(fileListDifference(old, now), place);
    const reason = `files of ${place} differ; which ones is not known, for the list of the earlier build is gone`;
    return { reason, difference: { part: 'files' } };
  }
  const part = name.startsWith('source') ? 'source' : 'mount';
  return { reason: `${place} is another one`, difference: { part, name: name.replace(/^mounted at /, '') } };
}

/** Paths that are named; the rest is counted. */
const SHOWN = 5;

function files(changed: readonly ChangedFile[], place: string): Explained {
  const first = changed.slice(0, SHOWN);
  const more = changed.length - first.length;
  const names = first.map(({ path, change }) => (change === 'content' ? path : `${path} (${change})`));
  const rest = more === 0 ? '' : ` and ${more} more`;
  const count = changed.length === 1 ? '1 file differs' : `${changed.length} files differ`;
  return {
    reason: `${count} in ${place}: ${names.join(', ')}${rest}`,
    difference: { part: 'files', files: first, more },
  };
}

function listIn(value: string | undefined): string | undefined {
  const digest = /^\["files","(.*)"\]$/.exec(value ?? '')?.[1];
  return isDigest(digest) ? digest : undefined;
}

/** A part's value as the Dockerfile has it: of a command in shell form only what the shell is given. */
function shown(name: string, value: string | undefined): string | undefined {
  if (name !== 'argv' || value === undefined) return clipped(value);
  try {
    const words = JSON.parse(value) as string[];
    return clipped(words.length === 3 && words[1] === '-c' ? words[2] : words.join(' '));
  } catch {
    return clipped(value);
  }
}

const WIDTH = 120;

function clipped(text: string | undefined): string | undefined {
  return text !== undefined && text.length > WIDTH ? `${text.slice(0, WIDTH)}…` : text;
}

function quoted(text: string | undefined): string {
  return text === undefined ? 'nothing' : JSON.stringify(clipped(text));
}

function defined(values: { before: string | undefined; after: string | undefined }): {
  before?: string;
  after?: string;
} {
  return {
    ...(values.before === undefined ? {} : { before: values.before }),
    ...(values.after === undefined ? {} : { after: values.after }),
  };
}
