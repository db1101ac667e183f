/**
 * Columns a text takes on a terminal. Where terminals disagree (joined emoji, variation selectors) the larger
 * figure is taken: a row counted too wide is cut a little early, one counted too narrow wraps and ruins the view.
 */

const ASCII = /^[\x20-\x7e]*$/;
const ZERO_WIDTH = /[\p{Mn}\p{Me}\u200b-\u200f\u2060\ufeff]/u;
/** Makes the character before it an emoji, two columns wide. */
const EMOJI_SELECTOR = '\ufe0f';
const WIDE = [
  '\\p{Emoji_Presentation}',
  '\\p{Script=Han}',
  '\\p{Script=Hiragana}',
  '\\p{Script=Katakana}',
  '\\p{Script=Bopomofo}',
  '\\p{Script=Yi}',
  '[\\u2329\\u232a\\u2630-\\u2637\\u268a-\\u268f\\u4dc0-\\u4dff]',
  '[\\u1100-\\u115f\\ua960-\\ua97c\\uac00-\\ud7a3]',
  '[\\u2e80-\\u303e\\u3041-\\u33ff\\uf900-\\ufaff\\ufe10-\\ufe19\\ufe30-\\ufe6b\\uff01-\\uff60\\uffe0-\\uffe6]',
  '[\\u{16fe0}-\\u{1b2ff}\\u{1d300}-\\u{1d37f}]',
  '[\\u{1f000}-\\u{1faff}\\u{20000}-\\u{3fffd}]',
].join('|');
let wide: RegExp | undefined;

/** Half-width Katakana are Katakana by script and one column by design. */
const HALF_WIDTH = /[\uff61-\uffdc\uffe8-\uffee]/;

/** Columns one character takes. */
function characterWidth(character: string): number {
  if (ASCII.test(character)) return 1;
  if (character === EMOJI_SELECTOR) return 1;
  if (ZERO_WIDTH.test(character)) return 0;
  if (HALF_WIDTH.test(character)) return 1;
  // Made when one is asked for: reading its classes takes a millisecond.
  wide ??= new RegExp(WIDE, 'u');
  return wide.test(character) ? 2 : 1;
}

/** Columns of a text without control characters. */
export function textWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** The text cut to at most `width` columns, with `…` as its last one when something was cut. */
export function clip(text: string, width: number): string {
  if (width <= 0) return '';
  if (textWidth(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const character of text) {
    const next = characterWidth(character);
    if (used + next > width - 1) break;
    kept += character;
    used += next;
  }
  return `${kept}…`;
}

/** The text cut or filled up to exactly `width` columns. */
export function padded(text: string, width: number): string {
  const cut = clip(text, width);
  return cut + ' '.repeat(Math.max(0, width - textWidth(cut)));
}

/** Rows the text takes on a terminal that wraps it: a wide character never straddles the edge. */
export function rowsTaken(text: string, columns: number): number {
  let rows = 1;
  let used = 0;
  for (const character of text) {
    const next = characterWidth(character);
    if (used + next > columns) {
      rows += 1;
      used = 0;
    }
    used += next;
  }
  return rows;
}
