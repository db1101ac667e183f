/** --chmod: an octal mode, or a symbolic one as chmod(1) reads it. */

/** A function from a file's mode to its new one; `directory` matters for X. */
export type ModeChange = (mode: number, directory: boolean) => number;

const WHO: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007, a: 0o7777 };
const BITS: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111, s: 0o6000, t: 0o1000 };

/** Reads a mode that the plan has validated. */
export function parseChmod(text: string): ModeChange {
  if (/^[0-7]+$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    return () => mode;
  }
  const clauses = text.split(',');
  return (mode, directory) =>
    clauses.reduce((current, clause) => applyClause(current, clause, directory), mode);
}

function applyClause(mode: number, clause: string, directory: boolean): number {
  const who = /^[ugoa]*/.exec(clause)?.[0] ?? '';
  const mask = who === '' ? 0o7777 : [...who].reduce((bits, letter) => bits | (WHO[letter] ?? 0), 0);
  let result = mode;
  for (const [, operator = '', permissions = ''] of clause
    .slice(who.length)
    .matchAll(/([-+=])([rwxXstugo]*)/g)) {
    const bits = permissionBits(permissions, result, directory) & mask;
    if (operator === '+') result |= bits;
    else if (operator === '-') result &= ~bits;
    // "=" leaves set-user-ID and set-group-ID of directories alone, as chmod(1) does, unless they are named.
    else result = (result & ~(mask & (directory ? 0o1777 : 0o7777))) | bits;
  }
  return result;
}

function permissionBits(permissions: string, mode: number, directory: boolean): number {
  let bits = 0;
  for (const letter of permissions) {
    if (letter === 'X') bits |= directory || (mode & 0o111) !== 0 ? 0o111 : 0;
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
