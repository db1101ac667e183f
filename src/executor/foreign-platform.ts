/** Which architectures this machine can run: its own, their smaller kin, and those that binfmt_misc hands to an emulator. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../errors.ts';

/** Names of QEMU's user emulators -> architectures of the image-spec. */
const EMULATORS: Readonly<Record<string, string>> = {
  aarch64: 'arm64',
  arm: 'arm',
  i386: '386',
  loongarch64: 'loong64',
  mips64el: 'mips64le',
  ppc64le: 'ppc64le',
  riscv64: 'riscv64',
  s390x: 's390x',
  x86_64: 'amd64',
};

/** Architectures a processor runs besides its own. */
const KIN: Readonly<Record<string, readonly string[]>> = { amd64: ['386'], arm64: ['arm'] };

/**
 * Architectures with an enabled QEMU handler. To be asked outside the namespace, whose /proc does not show them.
 */
export function emulatedArchitectures(directory = '/proc/sys/fs/binfmt_misc'): string[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const architecture = EMULATORS[name.replace(/^qemu-/, '')];
    if (!name.startsWith('qemu-') || architecture === undefined) return [];
    try {
      return readFileSync(join(directory, name), 'utf8').startsWith('enabled') ? [architecture] : [];
    } catch {
      return [];
    }
  });
}

interface Machine {
  readonly os: string;
  readonly architecture: string;
}

/** Throws HOST_FOREIGN_PLATFORM when programs of a platform cannot run on this machine. */
export function requireRunnable(
  platform: Machine,
  { host, emulated }: { readonly host: Machine; readonly emulated: readonly string[] },
): void {
  const { os, architecture } = platform;
  const runnable = [host.architecture, ...(KIN[host.architecture] ?? []), ...emulated];
  if (os === host.os && runnable.includes(architecture)) return;
  throw new BuildError(
    'HOST_FOREIGN_PLATFORM',
    `RUN needs to run ${os}/${architecture} programs, and this machine is ${host.os}/${host.architecture} without an emulator for them`,
    {
      suggestions: [
        'Register one with binfmt_misc: install qemu-user-static and binfmt-support (apt-get), or qemu-user-binfmt.',
        'Or run the step on this machine’s platform (FROM --platform=$BUILDPLATFORM) and COPY --from it: COPY needs no emulator.',
      ],
    },
  );
}
