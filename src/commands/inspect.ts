import * as Args from '@oclif/core/args';
import type { StoredImage } from '../actions/stored-image.ts';
import { KilnCommand } from './kiln-command.ts';

export default class Inspect extends KilnCommand {
  static override description = 'Show everything about images of the local store, as JSON.';

  static override strict = false;

  static override args = {
    image: Args.string({ description: 'name or ID of an image in the local store', required: true }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Inspect);
    const [{ Store }, { findImage, shortName }] = await Promise.all([
      import('../store/store.ts'),
      import('../actions/stored-image.ts'),
    ]);
    const store = Store.open(this.storeRoot(flags.root));
    const images = (argv as string[]).map((name) => describe(findImage(store, name), shortName));
    process.stdout.write(`${JSON.stringify(images, undefined, 4)}\n`);
  }
}

/** The fields and names of `docker image inspect`, with the OCI manifest beside them. */
function describe(image: StoredImage, shortName: (name: string) => string): object {
  const { config, manifest, descriptor, names, size } = image;
  const repository = (name: string): string => shortName(name).replace(/:[^:/]*$/, '');
  return {
    Id: manifest.config.digest,
    RepoTags: names.map(shortName),
    RepoDigests: [...new Set(names.map((name) => `${repository(name)}@${descriptor.digest}`))],
    Comment: config.history?.at(-1)?.comment ?? '',
    Created: config.created,
    Author: config.author ?? '',
    Config: config.config ?? {},
    Architecture: config.architecture,
    ...(config.variant === undefined ? {} : { Variant: config.variant }),
    Os: config.os,
    Size: size,
    RootFS: { Type: 'layers', Layers: config.rootfs.diff_ids },
    Descriptor: descriptor,
    Manifest: manifest,
  };
}
