import * as Flags from '@oclif/core/flags';
import { KilnCommand } from './kiln-command.ts';
import { formatAge, formatSize, renderTable } from './table.ts';

export default class Images extends KilnCommand {
  static override description = 'List the images of the local store.';

  static override flags = {
    quiet: Flags.boolean({ char: 'q', description: 'print image IDs only' }),
    'no-trunc': Flags.boolean({ description: 'do not shorten IDs' }),
    digests: Flags.boolean({ description: 'show manifest digests' }),
    format: Flags.string({ description: 'json: one JSON object a line', options: ['json'] }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Images);
    const [{ Store }, { listImages, shortName }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/stored-image.ts'),
    ]);
    const now = Date.now();
    const header = ['REPOSITORY', 'TAG', ...(flags.digests ? ['DIGEST'] : []), 'IMAGE ID', 'CREATED', 'SIZE'];
    const rows: string[][] = [];
    const out: string[] = [];
    const ids = new Set<string>();
    for (const image of listImages(Store.open(this.storeRoot(flags.root)))) {
      const full = image.manifest.config.digest;
      const id = flags['no-trunc'] ? full : full.slice(7, 19);
      ids.add(id);
      for (const name of image.names) {
        const short = shortName(name);
        const colon = short.lastIndexOf(':');
        const [repository, tag] = [short.slice(0, colon), short.slice(colon + 1)];
        const { created } = image.config;
        const digest = image.descriptor.digest;
        if (flags.format === 'json') {
          const row = {
            Repository: repository,
            Tag: tag,
            ID: full,
            Digest: digest,
            CreatedAt: created,
            Size: image.size,
          };
          out.push(`${JSON.stringify(row)}\n`);
        }
        rows.push([
          repository,
          tag,
          ...(flags.digests ? [digest] : []),
          id,
          formatAge(created, now),
          formatSize(image.size),
        ]);
      }
    }
    if (flags.format === 'json') process.stdout.write(out.join(''));
    else if (flags.quiet) process.stdout.write([...ids].map((id) => `${id}\n`).join(''));
    else process.stdout.write(renderTable([header, ...rows]));
  }
}
