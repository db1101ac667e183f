/** WWW-Authenticate challenges (RFC 9110, 11.6.1) and the scopes of the registry token protocol. */

/** How a registry wants to be asked; Bearer is the token protocol (distribution, spec/auth/token.md). */
export type Challenge =
  | { readonly scheme: 'basic'; readonly realm: string }
  | {
      readonly scheme: 'bearer';
      readonly realm: string;
      readonly service: string | undefined;
      readonly scopes: readonly string[];
      /** "insufficient_scope" or "invalid_token". */
      readonly error: string | undefined;
    };

const MAX_HEADER = 8192;

/** The challenge kiln answers best, Bearer before Basic; undefined when the header has neither. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  const challenges = splitChallenges((header ?? '').slice(0, MAX_HEADER));
  const bearer = challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.get('realm'));
  if (bearer !== undefined) {
    return {
      scheme: 'bearer',
      realm: bearer.parameters.get('realm') ?? '',
      service: bearer.parameters.get('service'),
      scopes: (bearer.parameters.get('scope') ?? '').split(' ').filter((scope) => scope !== ''),
      error: bearer.parameters.get('error'),
    };
  }
  const basic = challenges.find(({ scheme }) => scheme === 'basic');
  return basic === undefined ? undefined : { scheme: 'basic', realm: basic.parameters.get('realm') ?? '' };
}

interface RawChallenge {
  readonly scheme: string;
  readonly parameters: Map<string, string>;
}

/** A word followed by "=" is a parameter, a word followed by a space starts the next challenge. */
function splitChallenges(header: string): RawChallenge[] {
  const challenges: RawChallenge[] = [];
  const part = /([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+)))?/g;
  for (const [, word = '', quoted, plain] of header.matchAll(part)) {
    const value = quoted?.replaceAll(/\\(.)/g, '$1') ?? plain;
    if (value === undefined) challenges.push({ scheme: word.toLowerCase(), parameters: new Map() });
    else challenges.at(-1)?.parameters.set(word.toLowerCase(), value);
  }
  return challenges;
}

/** The scopes of both lists, each resource once with all its actions, in a stable order. */
export function unionScopes(...lists: readonly (readonly string[])[]): string[] {
  const actions = new Map<string, Set<string>>();
  for (const scope of lists.flat()) {
    const colon = scope.lastIndexOf(':');
    const resource = colon < 0 ? scope : scope.slice(0, colon);
    const known = actions.get(resource) ?? new Set<string>();
    for (const action of colon < 0 ? [] : scope.slice(colon + 1).split(',')) known.add(action);
    actions.set(resource, known);
  }
  return [...actions]
    .map(([resource, set]) => (set.size === 0 ? resource : `${resource}:${[...set].sort().join(',')}`))
    .sort();
}

/** True when a token for `granted` serves a request that needs `needed`. Both as unionScopes gives them. */
export function coversScopes(granted: readonly string[], needed: readonly string[]): boolean {
  const union = unionScopes(granted, needed);
  return union.length === granted.length && union.every((scope, position) => scope === granted[position]);
}
