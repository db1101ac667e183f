import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { NamedRow } from '../actions/image-filter.ts';
import { KilnCommand } from './kiln-command.ts';
import { formatFlag, repeatable } from './shared-flags.ts';

export default class Images extends KilnCommand {
  static override description = 'List the images of the local store.';

  static override args = {
    repository: Args.string({ description: 'only those of this name: REPOSITORY[:TAG], * and ? allowed' }),
  };

  static override flags = {
    all: Flags.boolean({ char: 'a', description: 'accepted for habit; kiln keeps no intermediate images' }),
    quiet: Flags.boolean({ char: 'q', description: 'print image IDs only' }),
    'no-trunc': Flags.boolean({ description: 'do not shorten IDs and names' }),
    digests: Flags.boolean({ description: 'show manifest digests' }),
    filter: Flags.string({
      char: 'f',
      description:
        'reference=PATTERN, dangling=true|false, label=KEY[=VALUE], before=IMAGE, since=IMAGE, until=TIME',
      ...repeatable,
    }),
    format: formatFlag(),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Images);
    const [
      { Store },
      { listImages },
      { imageFilter, referenceTest },
      { IMAGES_LISTING, imageRow, shownId },
      { renderListing },
    ] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/stored-image.ts'),
      import('../actions/image-filter.ts'),
      import('../actions/image-rows.ts'),
      import('../format/listing.ts'),
    ]);
    const store = Store.open(this.storeRoot(flags.root));
    const now = Date.now();
    const noTrunc = flags['no-trunc'];
    const passes = imageFilter(store, flags.filter ?? [], now);
    const matches = args.repository === undefined ? () => true : referenceTest(args.repository);
    const { images, damaged } = listImages(store);
    const shown = images
      .flatMap((image): NamedRow[] =>
        (image.names.length === 0 ? [undefined] : image.names).map((name) => ({ image, name })),
      )
      .filter((row) => matches(row) && passes(row));
    if (flags.quiet) {
      const ids = new Set(shown.map(({ image }) => shownId(image.manifest.config.digest, noTrunc)));
      process.stdout.write([...ids].map((id) => `${id}\n`).join(''));
    } else {
      const { columns } = IMAGES_LISTING;
      const listing = flags.digests
        ? { ...IMAGES_LISTING, columns: columns.toSpliced(2, 0, 'Digest') }
        : IMAGES_LISTING;
      const list = shown.map(({ image, name }) => imageRow(image, name, { noTrunc, now }));
      const width = noTrunc ? undefined : this.outputWidth();
      process.stdout.write(renderListing(list, listing, { format: flags.format, width }));
    }
    for (const { image } of damaged) {
      const name = image.names[0] ?? image.descriptor.digest;
      process.stderr.write(`${name} is damaged: kiln doctor --store tells more.\n`);
    }
  }
}
