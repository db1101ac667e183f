/** Makes text of others safe to print: what a RUN wrote, file names, messages of a registry. */
import { stripVTControlCharacters } from 'node:util';

// Bidirectional overrides are among them: they make a line read as something it is not.
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
const HAS_CONTROL = new RegExp(CONTROL.source);

/** One line without escape sequences and control characters; tabs stay. For a log, where colours are noise. */
export function stripControls(line: string): string {
  // Almost every line is clean, and the test is much cheaper than the two replacements.
  if (!HAS_CONTROL.test(line)) return line;
  return stripVTControlCharacters(line).replace(CONTROL, '');
}

/** One line with its control characters spelled out (`\x1b`); tabs stay. For a message, where they matter. */
export function escapeControls(line: string): string {
  return line.replace(CONTROL, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}

/** A name of several lines (a RUN with a heredoc) as one line, safe to print. */
export function oneLine(text: string): string {
  return escapeControls(text.trim().replace(/\s*\r?\n\s*/g, ' '));
}

/** The lines of a text, each with its control characters spelled out. */
export function safeLines(text: string): string[] {
  return text.split(/\r?\n/).map(escapeControls);
}
