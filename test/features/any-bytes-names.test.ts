import { describe, expect, test } from 'vitest';
import { VARIANTS, Workspace } from '../helpers/workspace.ts';

const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** Names as one character a byte. */
const NAMES = [
  'invalid-\xff\xfe-utf8',
  bytes('grüße-日本語'),
  'new\nline',
  'tab\there',
  ' leading and trailing ',
  '-dash',
  'quote\'"`$(x)',
  'back\\slash',
  '*?[x]',
  '%25=equals,comma',
  // fuse-overlayfs makes names of its own from these, and has room for no longer one.
  'x'.repeat(240),
  '\x01\x7f',
  '.wh',
];

const CREATE = NAMES.map((name) => {
  const octal = [...Buffer.from(name, 'latin1')]
    .map((byte) => `\\${byte.toString(8).padStart(3, '0')}`)
    .join('');
  return `printf '${octal}' | { IFS= read -r -d '' n || true; printf %s "$n" > "./$n"; }`;
}).join('\n');

describe.each(VARIANTS)('names in any bytes as $user over $snapshotter', (variant) => {
  test('made by RUN', async () => {
    const work = new Workspace(variant);
    // busybox ash reads no NUL-delimited lines; a file name can be given to it as an argument of printf.
    const script = NAMES.map((name) => {
      const octal = [...Buffer.from(name, 'latin1')]
        .map((byte) => `\\${byte.toString(8).padStart(3, '0')}`)
        .join('');
      return `n="$(printf '${octal}.')"; : > "./\${n%.}"`;
    }).join('\n');
    work.write('make.sh', `set -e\nmkdir /n && cd /n\n${script}\n`);
    const { image } = await work.build('ARG BASE\nFROM $BASE\nCOPY make.sh /\nRUN LC_ALL=C sh /make.sh\n');
    const found = [...image.tree.keys()].filter((name) => name.startsWith('n/')).map((name) => name.slice(2));
    expect(found.sort()).toEqual([...NAMES].sort());
  });

  test('through COPY, a later RUN, COPY --from and a deep path', async () => {
    const work = new Workspace(variant);
    work.shell(`mkdir n && cd n && bash -c ${quote(CREATE)}`);
    const deep = Array.from({ length: 12 }, (_, index) => `${'long'.repeat(20)}${index}`).join('/');
    work.write(`${deep}/leaf`, 'leaf');
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE AS first
      COPY . /all/
      RUN cp -a /all/n /again
      FROM scratch
      COPY --from=first /all /all
      COPY --from=first /again /again
    `);
    for (const root of ['all/n', 'again']) {
      const found = [...image.tree.keys()]
        .filter((name) => name.startsWith(`${root}/`))
        .map((name) => name.slice(root.length + 1));
      expect(found.sort()).toEqual([...NAMES].sort());
    }
    expect(image.text(`all/${deep}/leaf`)).toBe('leaf');
  });
});

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
