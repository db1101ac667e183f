/**
 * Platforms: `os/architecture[/variant]`, written and matched as containerd's platforms package does.
 * One difference: another architecture is never taken in place of the wanted one (containerd takes 386 for
 * amd64, 32-bit arm for arm64), because the image would then silently be of another kind than asked for.
 */
import { BuildError } from '../errors.ts';
import type { Descriptor, Platform } from './descriptor.ts';

const PART = /^[A-Za-z0-9_.-]+$/;

const OS_NAMES = new Set(
  'aix android darwin dragonfly freebsd illumos ios js linux macos netbsd openbsd plan9 solaris windows'.split(
    ' ',
  ),
);

const ARCHITECTURES = new Set(
  '386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x sparc64 wasm'.split(
    ' ',
  ),
);

/** Other spellings of architectures: uname's, Debian's, Node's. */
const ARCHITECTURE_ALIASES: Readonly<Record<string, { architecture: string; variant?: string }>> = {
  i386: { architecture: '386' },
  i686: { architecture: '386' },
  ia32: { architecture: '386' },
  x86: { architecture: '386' },
  x64: { architecture: 'amd64' },
  x86_64: { architecture: 'amd64' },
  'x86-64': { architecture: 'amd64' },
  aarch64: { architecture: 'arm64' },
  armhf: { architecture: 'arm', variant: 'v7' },
  armv7l: { architecture: 'arm', variant: 'v7' },
  armel: { architecture: 'arm', variant: 'v6' },
  armv6l: { architecture: 'arm', variant: 'v6' },
};

/**
 * Parses "os/arch[/variant]", "os", "arch" or "local". What is left out, and "local", come from `host`.
 * The result is normalised. Throws BuildError IMAGE_INVALID_PLATFORM.
 */
export function parsePlatform(text: string, host: Platform): Platform {
  const parts = text.split('/');
  const wrong = parts.find((part) => !PART.test(part));
  if (wrong !== undefined || parts.length > 3) throw invalid(text);
  const [first = '', second, third] = parts;
  if (second !== undefined) return normalizePlatform(platform(first, second, third));
  if (first === 'local') return normalizePlatform(host);
  const name = first.toLowerCase();
  if (OS_NAMES.has(name)) return normalizePlatform({ ...host, os: name });
  if (ARCHITECTURES.has(name) || Object.hasOwn(ARCHITECTURE_ALIASES, name))
    return normalizePlatform(platform(host.os, name));
  throw invalid(text);
}

/** "linux/amd64", "linux/arm/v7"; the variants that every machine of the kind has (arm64/v8, amd64/v1) are not shown. */
export function formatPlatform(value: Platform): string {
  const { os, architecture, variant } = normalizePlatform(value);
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** The one spelling of a platform: aliases resolved, lower case, arm without variant as v7, no arm64/v8, no amd64/v1. */
export function normalizePlatform(value: Platform): Platform {
  const os = value.os.toLowerCase() === 'macos' ? 'darwin' : value.os.toLowerCase();
  const name = value.architecture.toLowerCase();
  const alias = Object.hasOwn(ARCHITECTURE_ALIASES, name) ? ARCHITECTURE_ALIASES[name] : undefined;
  const architecture = alias?.architecture ?? name;
  const given = value.variant?.toLowerCase() || alias?.variant;
  const { variant: _, ...rest } = value;
  const variant = normalizeVariant(architecture, given);
  return { ...rest, os, architecture, ...(variant === undefined ? {} : { variant }) };
}

/** True when both are the same platform, however they are spelt. OS version and features are not compared. */
export function samePlatform(a: Platform, b: Platform): boolean {
  return formatPlatform(a) === formatPlatform(b);
}

/** True when an image made for `offered` can stand for `wanted`: the same, or an older variant of its architecture. */
export function platformSatisfies(offered: Platform, wanted: Platform): boolean {
  return acceptable(wanted).includes(formatPlatform(offered));
}

/**
 * The best manifest of an index for a platform: the platform itself, else its closest older variant (arm/v7, then
 * v6, then v5). An index of one manifest without a platform is taken as it is.
 * Throws BuildError BASE_IMAGE_PLATFORM_NOT_FOUND, which lists what the index has.
 */
export function choosePlatform(
  manifests: readonly Descriptor[],
  wanted: Platform,
  name = 'the image',
): Descriptor {
  const [only] = manifests;
  if (manifests.length === 1 && only !== undefined && only.platform === undefined) return only;
  for (const candidate of acceptable(wanted)) {
    const found = manifests.find(
      (manifest) => manifest.platform !== undefined && formatPlatform(manifest.platform) === candidate,
    );
    if (found !== undefined) return found;
  }
  const offered = offeredPlatforms(manifests);
  throw new BuildError(
    'BASE_IMAGE_PLATFORM_NOT_FOUND',
    `${name} has no variant for ${formatPlatform(wanted)}; it has ${offered.length === 0 ? 'none at all' : offered.join(', ')}`,
    {
      suggestions:
        offered.length === 0
          ? ['Choose another image: this index lists no image for any platform.']
          : ['Build for one of these with --platform, or choose another tag of the image.'],
    },
  );
}

/** The platforms of an index in its order, each once; attestations (platform unknown/unknown) are left out. */
export function offeredPlatforms(manifests: readonly Descriptor[]): string[] {
  const names = manifests.flatMap(({ platform: offered }) =>
    offered === undefined || offered.os === 'unknown' ? [] : [formatPlatform(offered)],
  );
  return [...new Set(names)];
}

function platform(os: string, architecture: string, variant?: string): Platform {
  return variant === undefined ? { os, architecture } : { os, architecture, variant };
}

function normalizeVariant(architecture: string, variant: string | undefined): string | undefined {
  const named = variant !== undefined && /^[0-9]/.test(variant) ? `v${variant}` : variant;
  if (architecture === 'arm') return named ?? 'v7';
  if (architecture === 'arm64' && (named === 'v8' || named === 'v8.0')) return undefined;
  if (architecture === 'amd64' && named === 'v1') return undefined;
  return named;
}

/** Every platform string that may stand for `wanted`, best first. */
function acceptable(wanted: Platform): string[] {
  const { os, architecture, variant } = normalizePlatform(wanted);
  const base = `${os}/${architecture}`;
  const number = /^v([0-9]+)(?:\.[0-9]+)?$/.exec(variant ?? '')?.[1];
  const own = variant === undefined ? base : `${base}/${variant}`;
  const lowest = { arm: 5, arm64: 8, amd64: 1 }[architecture];
  if (number === undefined || lowest === undefined) return [own];
  const older: string[] = [];
  for (let version = Number(number); version >= lowest; version--) {
    older.push(formatPlatform({ os, architecture, variant: `v${version}` }));
  }
  return [...new Set([own, ...older])];
}

function invalid(text: string): BuildError {
  return new BuildError('IMAGE_INVALID_PLATFORM', `"${text}" is not a platform`, {
    suggestions: ['Write os/architecture[/variant], such as linux/amd64 or linux/arm/v7, or "local".'],
  });
}
