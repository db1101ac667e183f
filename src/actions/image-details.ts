/** `kiln inspect` of an image: the fields and names of `docker image inspect`, with the OCI manifest beside them. */
import { type StoredImage, shortName } from './stored-image.ts';

export function imageDetails({ config, manifest, descriptor, names, size }: StoredImage): object {
  const repository = (name: string): string => shortName(name).replace(/[:@][^/]*$/, '');
  return {
    Id: manifest.config.digest,
    RepoTags: names.map(shortName),
    RepoDigests: [...new Set(names.map((name) => `${repository(name)}@${descriptor.digest}`))],
    Comment: config.history?.at(-1)?.comment ?? '',
    Created: config.created,
    Author: config.author ?? '',
    Config: config.config ?? {},
    Architecture: config.architecture,
    // Always there, so that a template can ask for it.
    Variant: config.variant ?? '',
    Os: config.os,
    Size: size,
    RootFS: { Type: 'layers', Layers: config.rootfs.diff_ids },
    Descriptor: descriptor,
    Manifest: manifest,
  };
}
