/** What `kiln df` lists, with the field names of docker's templates. */
import type { Listing, Row } from '../format/listing.ts';
import { formatAge, formatSize } from '../format/units.ts';
import type { Usage, UsageItem } from '../store/store-usage.ts';
import { shortName } from './stored-image.ts';

export const USAGE_LISTING: Listing = {
  headings: {
    Type: 'TYPE',
    TotalCount: 'TOTAL',
    Active: 'ACTIVE',
    Size: 'SIZE',
    Reclaimable: 'RECLAIMABLE',
    SizeBytes: 'BYTES',
    ReclaimableBytes: 'RECLAIMABLE BYTES',
  },
  columns: ['Type', 'TotalCount', 'Active', 'Size', 'Reclaimable'],
};

/** A kind of things as a row. */
export function usageRow({ type, items, size, reclaimable }: Usage): Row {
  const share = size === 0 ? '' : ` (${Math.floor((100 * reclaimable) / size)}%)`;
  return {
    Type: type,
    TotalCount: items.length,
    Active: items.filter(({ active }) => active).length,
    Size: formatSize(size),
    Reclaimable: `${formatSize(reclaimable)}${share}`,
    SizeBytes: size,
    ReclaimableBytes: reclaimable,
  };
}

/** The items of a kind, for `-v`. */
export function itemListing({ type }: Usage): Listing {
  const columns = ['Name', 'Size'];
  if (type === 'Images') columns.push('SharedSize', 'UniqueSize');
  if (type.startsWith('Cache')) columns.push('LastUsed');
  if (type !== 'Images') columns.push('Active');
  const headings = {
    Name: 'NAME',
    Size: 'SIZE',
    SharedSize: 'SHARED SIZE',
    UniqueSize: 'UNIQUE SIZE',
    LastUsed: 'LAST USED',
    Active: 'ACTIVE',
  };
  return { headings, columns, flexible: ['Name'] };
}

/** An item as a row; `now` is in milliseconds. */
export function itemRow({ type }: Usage, item: UsageItem, now: number): Row {
  const { name, size, shared, lastUse, active } = item;
  const isName = type === 'Images' && !name.startsWith('sha256:');
  return {
    Name: isName ? shortName(name) : name,
    Size: formatSize(size),
    SizeBytes: size,
    ...(shared === undefined
      ? {}
      : {
          SharedSize: formatSize(shared),
          SharedSizeBytes: shared,
          UniqueSize: formatSize(size - shared),
          UniqueSizeBytes: size - shared,
        }),
    ...(lastUse === undefined ? {} : { LastUsed: formatAge(new Date(lastUse).toISOString(), now) }),
    Active: active,
  };
}
