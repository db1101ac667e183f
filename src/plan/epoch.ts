/**
 * SOURCE_DATE_EPOCH, read as the Dockerfile frontend of BuildKit reads it: seconds, or what a time is to be taken from.
 * Nothing is fetched here. Specification of the number: reproducible-builds.org/specs/source-date-epoch.
 */
import type { AddInstruction, ArgInstruction } from '../dockerfile/instruction.ts';
import { nearestWord } from '../dockerfile/suggest.ts';
import { BuildError, type SourceLocation } from '../errors.ts';
import { remoteSourceOf, validateChecksum } from './plan-transfer.ts';
import { Scope } from './scope.ts';
import { contextNamed, EPOCH, type Stage, type StageGraph } from './stage-graph.ts';
import type { RemoteSource } from './step.ts';

/** What SOURCE_DATE_EPOCH says. */
export type EpochSource =
  | { readonly kind: 'seconds'; readonly seconds: number | undefined }
  /** The time of the main context, or of a named one. */
  | { readonly kind: 'context'; readonly name: string | undefined }
  /** The time of what the ADD of a stage fetches. */
  | EpochAdd;

/** A remote ADD that a time is taken from. */
export interface EpochAdd {
  readonly kind: 'add';
  readonly source: RemoteSource;
  readonly checksum: string | undefined;
  readonly keepGitDir: boolean | undefined;
  readonly location: SourceLocation;
}

/** The end of the year 9999, after which RFC 3339 has no times. */
const LAST = 253_402_300_799;

/** Whole seconds since 1970; undefined for a text that is none. */
export function epochSeconds(text: string): number | undefined {
  return /^\d+$/.test(text) && Number(text) <= LAST ? Number(text) : undefined;
}

/**
 * Reads the argument: --build-arg first, then an ARG before the first FROM. Throws USAGE_EPOCH or DOCKERFILE_EPOCH for a
 * value that means nothing, and DOCKERFILE_* at the line of a stage that says no time.
 */
export function epochSource(graph: StageGraph): EpochSource {
  const { options, globalArgs, stages } = graph;
  const given = options.buildArgs.get(EPOCH);
  const text = given ?? globalArgs.get(EPOCH) ?? '';
  const seconds = epochSeconds(text);
  if (seconds !== undefined || text === '') return { kind: 'seconds', seconds };
  if (text === 'context') return { kind: 'context', name: undefined };
  const context = contextNamed(text, { platform: options.targetPlatform, options });
  if (context !== undefined)
    return { kind: 'context', name: context.kind === 'context' ? context.name : text };
  const stage = stages.find(({ name }) => name === text.toLowerCase());
  if (stage !== undefined) return addOf(graph, stage);
  throw invalid(text, graph);
}

function invalid(text: string, { options, dockerfile, stages }: StageGraph): BuildError {
  const argument = dockerfile.instructions.find(
    (instruction): instruction is ArgInstruction =>
      instruction.keyword === 'ARG' && instruction.args.some(({ name }) => name === EPOCH),
  );
  const near = nearestWord(text.toLowerCase(), [
    'context',
    ...options.namedContexts.keys(),
    ...stages.flatMap(({ name }) => (name === undefined ? [] : [name])),
  ]);
  return new BuildError(
    options.buildArgs.has(EPOCH) ? 'USAGE_EPOCH' : 'DOCKERFILE_EPOCH',
    `invalid ${EPOCH}: ${text}`,
    {
      location: options.buildArgs.has(EPOCH) ? undefined : argument?.location,
      suggestions: [
        ...(near === undefined ? [] : [`Did you mean ${near}?`]),
        'Give whole seconds since 1970, such as $(git log -1 --format=%ct); or "context", the name of a --build-context, or that of a stage with one remote ADD, to take the time from there.',
      ],
    },
  );
}

/** The one remote ADD of a stage that is there to say a time. */
function addOf({ dockerfile, globalArgs, options }: StageGraph, stage: Stage): EpochAdd {
  if (stage.base.kind !== 'scratch') throw wrong(`${EPOCH} stage must use FROM scratch`, stage.from.location);
  const variables = new Map(globalArgs);
  variables.delete(EPOCH);
  let found: EpochAdd | undefined;
  for (const instruction of stage.instructions) {
    const { keyword, location } = instruction;
    const scope = new Scope(variables, dockerfile.escape);
    if (keyword === 'ARG') {
      for (const { name, value } of instruction.args) {
        const result =
          options.buildArgs.get(name) ?? (value === undefined ? undefined : scope.expand(value, location));
        if (result !== undefined) variables.set(name, result);
      }
      continue;
    }
    if (keyword !== 'ADD') {
      throw wrong(
        `${EPOCH} stage does not meet source-only requirements: unsupported ${keyword} instruction`,
        location,
      );
    }
    if (found !== undefined) throw wrong(`${EPOCH} stage must contain exactly one remote ADD`, location);
    found = readAdd(instruction, scope);
  }
  if (found === undefined)
    throw wrong(`${EPOCH} stage must contain exactly one remote ADD`, stage.from.location);
  return found;
}

function readAdd(
  { sources, heredocs, checksum, keepGitDir, location }: AddInstruction,
  scope: Scope,
): EpochAdd {
  const [source, ...others] = sources;
  if (source === undefined || others.length > 0 || heredocs.length > 0) {
    throw wrong(`${EPOCH} stage must contain exactly one remote ADD source`, location);
  }
  const word = scope.expand(source, location);
  const remote = remoteSourceOf(word, keepGitDir);
  if (remote === undefined)
    throw wrong(`${EPOCH} stage source must be a single HTTP(S) or Git ADD`, location);
  const expected = checksum === undefined ? undefined : scope.expand(checksum, location);
  validateChecksum(expected, { words: [word], keepGitDir, location });
  return { kind: 'add', source: remote, checksum: expected || undefined, keepGitDir, location };
}

function wrong(message: string, location: SourceLocation): BuildError {
  return new BuildError('DOCKERFILE_EPOCH', message, {
    location,
    suggestions: [
      `The stage that ${EPOCH} names says a time and nothing else: FROM scratch, ARGs, and one ADD of an http(s) or git address.`,
    ],
  });
}
