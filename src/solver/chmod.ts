/**
 * --chmod: an octal mode, or a symbolic one. Symbolic modes follow setmode(3) of the BSDs with no umask, as BuildKit's
 * do: X asks the mode from before the whole change, the sticky bit is touched only by t, and "=" of a class clears its
 * set-ID bit on directories too.
 */

/** A function from a file's mode to its new one; `directory` matters for X. */
export type ModeChange = (mode: number, directory: boolean) => number;

const WHO: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o0007, a: 0o6777 };
const BITS: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111, s: 0o6000, t: 0o1000 };

/** Reads a mode that the plan has validated. */
export function parseChmod(text: string): ModeChange {
  if (/^[0-7]+$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    return () => mode;
  }
  const clauses = text.split(',');
  return (mode, directory) => {
    const executable = directory || (mode & 0o111) !== 0;
    return clauses.reduce((current, clause) => applyClause(current, clause, executable), mode);
  };
}

function applyClause(mode: number, clause: string, executable: boolean): number {
  const who = /^[ugoa]*/.exec(clause)?.[0] ?? '';
  const mask = who === '' ? 0o6777 : [...who].reduce((bits, letter) => bits | (WHO[letter] ?? 0), 0);
  // Neither set-ID bits nor the sticky bit are a matter of others alone.
  const sticky = who !== '' && mask === 0o0007 ? 0 : 0o1000;
  let result = mode;
  const actions = clause.slice(who.length).matchAll(/([-+=])([rwxXstugo]*)/g);
  for (const [, operator = '', permissions = ''] of actions) {
    const named = permissions.includes('t') ? mask | sticky : mask;
    const bits = permissionBits(permissions, { mode: result, executable }) & named;
    if (operator === '+') result |= bits;
    else if (operator === '-') result &= ~bits;
    else result = (result & ~named) | bits;
  }
  return result;
}

function permissionBits(
  permissions: string,
  { mode, executable }: { mode: number; executable: boolean },
): number {
  let bits = 0;
  for (const letter of permissions) {
    if (letter === 'X') bits |= executable ? 0o111 : 0;
    else if (letter === 'u') bits |= spread((mode >> 6) & 7);
    else if (letter === 'g') bits |= spread((mode >> 3) & 7);
    else if (letter === 'o') bits |= spread(mode & 7);
    else bits |= BITS[letter] ?? 0;
  }
  return bits;
}

function spread(rwx: number): number {
  return (rwx << 6) | (rwx << 3) | rwx;
}
