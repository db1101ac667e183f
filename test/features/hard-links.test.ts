import { describe, expect, test } from 'vitest';
import { VARIANTS, Workspace } from '../helpers/workspace.ts';

describe.each(VARIANTS)('hard links as $user over $snapshotter', (variant) => {
  test('made in RUN stay one file in the layer', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN mkdir /l /k && echo shared > /l/b && ln /l/b /l/a && ln /l/b /k/c && echo alone > /l/d
      RUN cat /l/a /k/c > /seen
    `);
    const linked = image.listLayer(1).filter((entry) => entry.link !== undefined);
    expect(linked).toHaveLength(2);
    expect(image.tree.get('l/a')?.sameAs).toBe('k/c');
    expect(image.tree.get('l/b')?.sameAs).toBe('k/c');
    expect(image.tree.get('l/d')?.sameAs).toBeUndefined();
    expect(image.text('seen')).toBe('shared\nshared\n');
  });

  test('a link to a file of a lower layer has the content, and the original stays', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN echo lower > /original && chmod 640 /original && chown 33:50 /original
      RUN ln /original /linked
      RUN echo more >> /linked
      RUN rm /original
    `);
    expect(image.tree.has('original')).toBe(false);
    expect(image.tree.get('linked')).toMatchObject({ mode: '640', owner: '33:50' });
    expect(image.text('linked')).toMatch(/^lower\nmore\n$/);
  });

  test('through COPY --from the group stays a group', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE AS made
      RUN mkdir /l && head -c 100000 /dev/urandom > /l/one && ln /l/one /l/two && ln -s one /l/soft && ln /l/soft /l/soft2
      FROM scratch
      COPY --from=made /l /l
    `);
    expect(image.tree.get('l/two')?.sha256).toBe(image.tree.get('l/one')?.sha256);
    expect(image.tree.get('l/soft2')).toMatchObject({ type: 'symlink', link: 'one' });
    expect(image.manifest.layers[0]?.size).toBeLessThan(150_000);
  });
});
