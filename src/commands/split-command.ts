/** Where the flags of `kiln run` end and the command of the container begins: everything from the image on is not ours. */

/** As much of oclif's flags as it takes to tell a value from a word. */
export type FlagShapes = Readonly<
  Record<string, { readonly type: 'boolean' | 'option'; readonly char?: string; readonly allowNo?: boolean }>
>;

export interface SplitCommand {
  readonly own: readonly string[];
  /** The image and what comes after it. */
  readonly rest: readonly string[];
}

/** Splits words at the first one that is neither a flag nor a flag's value, or at "--", which is dropped. */
export function splitCommand(words: readonly string[], flags: FlagShapes): SplitCommand {
  let index = 0;
  while (index < words.length) {
    const word = words[index] ?? '';
    if (word === '--') return { own: words.slice(0, index), rest: words.slice(index + 1) };
    if (!word.startsWith('-') || word === '-') break;
    index += takesNext(word, flags) ? 2 : 1;
  }
  return { own: words.slice(0, index), rest: words.slice(index) };
}

function takesNext(word: string, flags: FlagShapes): boolean {
  if (word.startsWith('--')) return !word.includes('=') && flags[word.slice(2)]?.type === 'option';
  // Short flags can stand together, and the last can have its value attached: -it, -eA=1, -ite A=1.
  for (let at = 1; at < word.length; at++) {
    const flag = Object.values(flags).find(({ char }) => char === word[at]);
    if (flag?.type === 'option') return at === word.length - 1;
  }
  return false;
}
