/** What `kiln ps` lists, with the field names of docker's templates, and its filters. */
import { BuildError } from '../errors.ts';
import type { Listing, Row } from '../format/listing.ts';
import { formatAge, formatTime } from '../format/units.ts';
import type { Container } from '../store/container-store.ts';

export const CONTAINER_LISTING: Listing = {
  headings: {
    ID: 'CONTAINER ID',
    Image: 'IMAGE',
    Command: 'COMMAND',
    RunningFor: 'CREATED',
    CreatedAt: 'CREATED AT',
    Status: 'STATUS',
    State: 'STATE',
    Names: 'NAMES',
    ExitCode: 'EXIT CODE',
    Labels: 'LABELS',
    Mounts: 'MOUNTS',
  },
  columns: ['ID', 'Image', 'Command', 'RunningFor', 'Status', 'Names'],
  flexible: ['Image', 'Command'],
};

/** Characters of a command that are shown unless --no-trunc. */
const SHOWN = 20;

/** A container as a row; `now` is in milliseconds. */
export function containerRow(
  container: Container,
  { noTrunc, now }: { readonly noTrunc: boolean; readonly now: number },
): Row {
  const { id, image, command, created, name, status, exitCode, config, mountPoints } = container;
  const line = command.join(' ').replaceAll(/\s+/g, ' ');
  const shown = noTrunc || line.length <= SHOWN ? line : `${line.slice(0, SHOWN - 1)}…`;
  return {
    ID: noTrunc ? id : id.slice(0, 12),
    Image: image,
    Command: `"${shown}"`,
    RunningFor: formatAge(created, now),
    CreatedAt: formatTime(created),
    Status: statusText(container, now),
    State: status,
    Names: name,
    ExitCode: exitCode ?? null,
    Labels: Object.entries(config.Labels ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    Mounts: mountPoints.join(','),
  };
}

function statusText({ status, started, finished, exitCode }: Container, now: number): string {
  switch (status) {
    case 'created':
      return 'Created';
    case 'running':
      return `Up ${formatAge(started, now).replace(/ ago$/, '')}`;
    case 'exited':
      return `Exited (${exitCode ?? 0})${finished === undefined ? '' : ` ${formatAge(finished, now)}`}`;
  }
}

type Test = (container: Container) => boolean;

const KEYS = ['id', 'name', 'status', 'exited', 'ancestor', 'label', 'before', 'since'];
const STATES = ['created', 'running', 'exited'];

/** A test made of filters KEY=VALUE: of several with one key one must hold. Throws USAGE_FILTER, CONTAINER_NOT_FOUND. */
export function containerFilter(filters: readonly string[], find: (text: string) => Container): Test {
  const byKey = new Map<string, Test[]>();
  for (const filter of filters) {
    const equals = filter.indexOf('=');
    const [key, value] = [filter.slice(0, equals), filter.slice(equals + 1)];
    if (equals < 0 || !KEYS.includes(key)) throw wrongFilter(filter, `Filters: ${KEYS.join('=, ')}=.`);
    byKey.set(key, [...(byKey.get(key) ?? []), makeTest(key, value, { filter, find })]);
  }
  return (container) => [...byKey.values()].every((tests) => tests.some((test) => test(container)));
}

function makeTest(
  key: string,
  value: string,
  { filter, find }: { filter: string; find: (text: string) => Container },
): Test {
  switch (key) {
    case 'id':
      return ({ id }) => id.startsWith(value);
    case 'name':
      return ({ name }) => name.includes(value);
    case 'status':
      if (!STATES.includes(value)) throw wrongFilter(filter, `States: ${STATES.join(', ')}.`);
      return ({ status }) => status === value;
    case 'exited':
      if (!/^\d+$/.test(value)) throw wrongFilter(filter, 'Write an exit code, such as exited=0.');
      return ({ status, exitCode }) => status === 'exited' && exitCode === Number(value);
    case 'ancestor': {
      const hex = value.replace(/^sha256:/, '');
      return ({ image, imageId }) =>
        image === value || image === `${value}:latest` || imageId.startsWith(`sha256:${hex}`);
    }
    case 'label': {
      const [label = '', wanted] = value.split(/=(.*)/s);
      return ({ config: { Labels = {} } }) =>
        Object.hasOwn(Labels, label) && (wanted === undefined || Labels[label] === wanted);
    }
    default: {
      const other = find(value).created;
      return ({ created }) => (key === 'before' ? created < other : created > other);
    }
  }
}

function wrongFilter(filter: string, remedy: string): BuildError {
  return new BuildError('USAGE_FILTER', `--filter ${filter}: is no filter of containers`, {
    suggestions: [remedy],
  });
}
