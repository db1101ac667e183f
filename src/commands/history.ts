import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { KilnCommand } from './kiln-command.ts';
import { formatAge, formatSize, renderTable } from './table.ts';

/** Characters of an instruction that are shown unless --no-trunc. */
const SHOWN = 60;

export default class History extends KilnCommand {
  static override description = 'Show how an image was made, the last instruction first.';

  static override args = {
    image: Args.string({ description: 'name or ID of an image in the local store', required: true }),
  };

  static override flags = {
    quiet: Flags.boolean({ char: 'q', description: 'print the image ID only' }),
    'no-trunc': Flags.boolean({ description: 'do not shorten instructions' }),
    format: Flags.string({ description: 'json: one JSON object a line', options: ['json'] }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(History);
    const [{ Store }, { findImage }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/stored-image.ts'),
    ]);
    const { config, manifest } = findImage(Store.open(this.storeRoot(flags.root)), args.image);
    const id = manifest.config.digest;
    if (flags.quiet) {
      process.stdout.write(`${flags['no-trunc'] ? id : id.slice(7, 19)}\n`);
      return;
    }
    let layer = 0;
    const entries = (config.history ?? []).map((entry) => {
      const size = entry.empty_layer === true ? 0 : (manifest.layers[layer++]?.size ?? 0);
      return { created: entry.created, by: entry.created_by ?? '', size, comment: entry.comment ?? '' };
    });
    entries.reverse();
    if (flags.format === 'json') {
      for (const { created, by, size, comment } of entries) {
        process.stdout.write(
          `${JSON.stringify({ CreatedAt: created, CreatedBy: by, Size: size, Comment: comment })}\n`,
        );
      }
      return;
    }
    const now = Date.now();
    const shown = (text: string): string => {
      const line = text.replaceAll(/\s+/g, ' ');
      return flags['no-trunc'] || line.length <= SHOWN ? line : `${line.slice(0, SHOWN - 1)}…`;
    };
    const rows = entries.map(({ created, by, size, comment }, index) => [
      index === 0 ? id.slice(7, 19) : '<missing>',
      formatAge(created, now),
      shown(by),
      formatSize(size),
      comment,
    ]);
    process.stdout.write(renderTable([['IMAGE', 'CREATED', 'CREATED BY', 'SIZE', 'COMMENT'], ...rows]));
  }
}
