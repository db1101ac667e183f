/** What `kiln images` and `kiln history` list, with the field names of docker's templates. */
import type { Listing, Row } from '../format/listing.ts';
import { formatAge, formatSize, formatTime } from '../format/units.ts';
import type { StoredImage } from './stored-image.ts';
import { shortName } from './stored-image.ts';

export const IMAGES_LISTING: Listing = {
  headings: {
    Repository: 'REPOSITORY',
    Tag: 'TAG',
    Digest: 'DIGEST',
    ID: 'IMAGE ID',
    CreatedSince: 'CREATED',
    CreatedAt: 'CREATED AT',
    Size: 'SIZE',
    SizeBytes: 'BYTES',
  },
  columns: ['Repository', 'Tag', 'ID', 'CreatedSince', 'Size'],
  flexible: ['Repository', 'Tag'],
};

/** An ID or digest as lists show it: 12 hex digits, or all of it. */
export function shownId(digest: string, full: boolean): string {
  return full ? digest : digest.slice(7, 19);
}

/** One name of an image as a row; `now` is in milliseconds. */
export function imageRow(
  image: StoredImage,
  name: string | undefined,
  { noTrunc, now }: { readonly noTrunc: boolean; readonly now: number },
): Row {
  const short = name === undefined ? '<none>:<none>' : shortName(name).replace(/@sha256:.*$/, '');
  const colon = short.lastIndexOf(':');
  const tagged = colon > short.lastIndexOf('/');
  return {
    Repository: tagged ? short.slice(0, colon) : short,
    Tag: tagged ? short.slice(colon + 1) : '<none>',
    ID: shownId(image.manifest.config.digest, noTrunc),
    Digest: image.descriptor.digest,
    CreatedSince: formatAge(image.config.created, now),
    CreatedAt: formatTime(image.config.created),
    Size: formatSize(image.size),
    SizeBytes: image.size,
  };
}

export const HISTORY_LISTING: Listing = {
  headings: {
    ID: 'IMAGE',
    CreatedSince: 'CREATED',
    CreatedAt: 'CREATED AT',
    CreatedBy: 'CREATED BY',
    Size: 'SIZE',
    SizeBytes: 'BYTES',
    Comment: 'COMMENT',
  },
  columns: ['ID', 'CreatedSince', 'CreatedBy', 'Size', 'Comment'],
  flexible: ['CreatedBy', 'Comment'],
};

/** Characters of an instruction that are shown unless --no-trunc. */
const SHOWN = 45;

export interface HistoryOptions {
  readonly noTrunc: boolean;
  /** Sizes with units and times as ages; else bytes and RFC 3339. */
  readonly human: boolean;
  readonly now: number;
}

/** The history of an image as rows, the last instruction first. */
export function historyRows({ config, manifest }: StoredImage, options: HistoryOptions): Row[] {
  const { noTrunc, human, now } = options;
  let layer = 0;
  const rows = (config.history ?? []).map((entry): Row => {
    const size = entry.empty_layer === true ? 0 : (manifest.layers[layer++]?.size ?? 0);
    return {
      ID: '<missing>',
      CreatedSince: human ? formatAge(entry.created, now) : (entry.created ?? 'N/A'),
      CreatedAt: entry.created ?? 'N/A',
      CreatedBy: shortened(entry.created_by ?? '', noTrunc),
      Size: human ? formatSize(size) : `${size}`,
      SizeBytes: size,
      Comment: entry.comment ?? '',
    };
  });
  const [last, ...others] = rows.reverse();
  return last === undefined ? [] : [{ ...last, ID: shownId(manifest.config.digest, noTrunc) }, ...others];
}

function shortened(text: string, noTrunc: boolean): string {
  if (noTrunc) return text;
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length <= SHOWN ? line : `${line.slice(0, SHOWN - 1)}…`;
}
