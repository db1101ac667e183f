/** What must never be printed: credentials, tokens and the signed query strings of storage services. */

const MAX_TEXT = 400;

/** A URL fit for a message: without user name, password, query and fragment. */
export function redactUrl(url: string | URL): string {
  try {
    const parsed = new URL(url);
    return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
  } catch {
    return String(url)
      .replace(/[?#].*$/s, '')
      .replace(/\/\/[^/@]*@/, '//');
  }
}

/**
 * Text from outside (a registry's answer, a helper's complaint) fit for a message: one line, without control
 * characters, without URL credentials and queries, without authorization headers and the given secrets, at most
 * 400 characters.
 */
export function redactText(text: string, secrets: readonly string[] = []): string {
  let clean = text.slice(0, 16 * MAX_TEXT);
  for (const secret of secrets) {
    if (secret.length >= 4) clean = clean.replaceAll(secret, '***');
  }
  clean = clean
    .replace(/https?:\/\/[^\s"'<>\\]+/gi, (url) => redactUrl(url))
    .replace(/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, '$1 ***')
    .replace(/eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g, '***')
    .replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, ' ')
    .trim();
  return clean.length > MAX_TEXT ? `${clean.slice(0, MAX_TEXT)}…` : clean;
}
