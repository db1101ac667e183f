/**
 * Byte strings: file names as the kernel has them, one character a byte (latin1), so that a name in any
 * encoding survives and sorting is byte order. ASCII names are their own byte string.
 */

const ASCII = /^[\x00-\x7f]*$/;

/** Text to the byte string of its UTF-8 form. */
export function toByteString(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** A byte string as text for people; bytes that are not UTF-8 become U+FFFD. */
export function toText(bytes: string): string {
  return ASCII.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** A byte string in the form node:fs takes without changing a byte. */
export function toFsPath(bytes: string): string | Buffer {
  return ASCII.test(bytes) ? bytes : Buffer.from(bytes, 'latin1');
}
