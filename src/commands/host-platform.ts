/** The platform of this machine in the terms of the image-spec. */
import { arch } from 'node:os';
import type { Platform } from '../image/descriptor.ts';
import { normalizePlatform } from '../image/platform.ts';

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };

export function hostPlatform(): Platform {
  const name = arch();
  return normalizePlatform({ os: 'linux', architecture: ARCHITECTURES[name] ?? name });
}
