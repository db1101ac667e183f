import { describe, expect, test } from 'vitest';
import { VARIANTS, Workspace } from '../helpers/workspace.ts';

describe.each(VARIANTS)('what RUN removes, as $user over $snapshotter', (variant) => {
  test('files, directories, and things made anew under an old name', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN mkdir -p /d/sub /e /f/g && echo 1 > /d/one && echo 2 > /d/sub/two && echo 3 > /e/three && echo 4 > /f/g/four && echo x > /file
      RUN rm /d/one && rm -r /e && rm /bin/yes
      RUN rm -r /d && mkdir /d && echo new > /d/new
      RUN rm -r /f/g && echo now-a-file > /f/g && rm /file && mkdir /file && echo in > /file/in
    `);
    expect(image.tree.has('bin/yes')).toBe(false);
    expect(image.tree.has('e')).toBe(false);
    expect([...image.tree.keys()].filter((name) => name === 'd' || name.startsWith('d/'))).toEqual([
      'd',
      'd/new',
    ]);
    expect(image.text('f/g')).toBe('now-a-file\n');
    expect(image.text('file/in')).toBe('in\n');
    expect(image.namesInLayer(2)).toEqual(['.wh.e', 'bin', 'bin/.wh.yes', 'd', 'd/.wh.one']);
    expect(image.namesInLayer(3)).toEqual(['d', 'd/.wh..wh..opq', 'd/new']);
    // No trace of the overlay's own bookkeeping.
    for (const [name, entry] of image.tree) expect(entry.xattrs?.join() ?? '', name).not.toContain('overlay');
  });

  test('renamed directories, of this layer and of the base', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN mkdir -p /a/deep/er && echo 1 > /a/deep/er/1 && echo 2 > /a/2
      RUN mv /a /b && mv /home /homes && mv /b/deep /b/shallow
      RUN mv /b /c && echo 3 > /c/3 && mkdir /b
    `);
    expect(image.tree.has('a')).toBe(false);
    expect(image.tree.has('home')).toBe(false);
    expect(image.tree.get('homes')?.type).toBe('directory');
    expect([...image.tree.keys()].filter((name) => /^[bc](\/|$)/.test(name))).toEqual([
      'b',
      'c',
      'c/2',
      'c/3',
      'c/shallow',
      'c/shallow/er',
      'c/shallow/er/1',
    ]);
    expect(image.text('c/shallow/er/1')).toBe('1\n');
  });

  test('delete and make again with the same size within one second', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN echo aaaa > /same && touch -d @1000000000 /same && echo bbbb > /other && touch -d @1000000000 /other
      RUN echo cccc > /same && touch -d @1000000000 /same
      RUN rm /other && echo dddd > /other && touch -d @1000000000 /other
      RUN rm /other
      RUN echo eeee > /other
    `);
    expect(image.text('same')).toBe('cccc\n');
    expect(image.text('other')).toBe('eeee\n');
  });

  test('a later stage, COPY --from and outputs do not see what was removed', async () => {
    const work = new Workspace(variant);
    work.write('extra', 'x');
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE AS first
      RUN mkdir -p /tree/sub && touch /tree/gone /tree/kept /tree/sub/gone
      RUN rm /tree/gone && rm -r /tree/sub && mkdir /tree/sub && touch /tree/sub/new
      COPY extra /tree/extra
      FROM first AS second
      RUN rm -r /tree/sub
      FROM scratch
      COPY --from=first /tree /first
      COPY --from=second /tree /second
    `);
    const files = [...image.tree.keys()].filter((name) => image.tree.get(name)?.type === 'file');
    expect(files).toEqual(['first/extra', 'first/kept', 'first/sub/new', 'second/extra', 'second/kept']);
  });
});
