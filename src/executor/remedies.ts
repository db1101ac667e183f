/** How to get a missing host tool, per distribution, and which setting refused a namespace. Texts for errors and doctor. */
import { readFileSync } from 'node:fs';
import { BuildError } from '../errors.ts';

const PACKAGES = {
  newuidmap: { debian: 'uidmap', fedora: 'shadow-utils', alpine: 'shadow-uidmap' },
  unshare: { debian: 'util-linux', fedora: 'util-linux', alpine: 'util-linux-misc' },
  runtime: { debian: 'crun', fedora: 'crun', alpine: 'crun' },
  'fuse-overlayfs': { debian: 'fuse-overlayfs', fedora: 'fuse-overlayfs', alpine: 'fuse-overlayfs' },
  pasta: { debian: 'passt', fedora: 'passt', alpine: 'passt' },
  slirp4netns: { debian: 'slirp4netns', fedora: 'slirp4netns', alpine: 'slirp4netns' },
  git: { debian: 'git', fedora: 'git', alpine: 'git' },
} as const;

export type HostTool = keyof typeof PACKAGES;

/** One line that installs a tool on the distributions people have. */
export function installCommand(tool: HostTool): string {
  const { debian, fedora, alpine } = PACKAGES[tool];
  return `Install it: apt-get install ${debian} (Debian, Ubuntu); dnf install ${fedora} (Fedora, RHEL); apk add ${alpine} (Alpine).`;
}

/** First line of a small file such as a sysctl; undefined when it cannot be read. */
export function readSetting(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').split('\n', 1)[0]?.trim();
  } catch {
    return undefined;
  }
}

/** One field of /proc/self/status. */
export function ownStatus(field: string): string | undefined {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return new RegExp(`^${field}:\\s*(\\S+)`, 'm').exec(status)?.[1];
  } catch {
    return undefined;
  }
}

/** Bit numbers of capabilities that kiln asks about. */
export const CAP_SYS_ADMIN = 21;

/** Whether this process has a capability now. */
export function hasCapability(bit: number): boolean {
  const effective = ownStatus('CapEff');
  return effective !== undefined && ((BigInt(`0x${effective}`) >> BigInt(bit)) & 1n) === 1n;
}

/** What on this host refuses user namespaces to a plain user. */
export interface NamespaceRefusal {
  readonly cause: string;
  readonly remedies: readonly string[];
}

const APPARMOR: NamespaceRefusal = {
  cause:
    'AppArmor takes the capabilities away (kernel.apparmor_restrict_unprivileged_userns = 1, the default since Ubuntu 24.04)',
  remedies: [
    'As root, for this machine: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (to keep it: echo kernel.apparmor_restrict_unprivileged_userns=0 > /etc/sysctl.d/60-kiln.conf)',
    'Or allow only what kiln starts: an AppArmor profile for its node binary and /usr/bin/unshare with the rule "userns," (docs/rootless.md shows one).',
  ],
};

const SECCOMP: NamespaceRefusal = {
  cause:
    'a seccomp filter is active on this process: it is inside a container whose profile blocks unshare(2)',
  remedies: [
    'Start the outer container with a profile that allows user namespaces: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined …; in Kubernetes securityContext.seccompProfile.type: Unconfined.',
    'Or run kiln as root in that container: it then needs no user namespace.',
  ],
};

/** The most likely reason, read from the host's settings; undefined when nothing here forbids it. */
export function namespaceRefusal(): NamespaceRefusal | undefined {
  if (readSetting('/proc/sys/kernel/unprivileged_userns_clone') === '0') {
    return {
      cause: 'kernel.unprivileged_userns_clone is 0',
      remedies: ['As root: sysctl -w kernel.unprivileged_userns_clone=1'],
    };
  }
  if (readSetting('/proc/sys/user/max_user_namespaces') === '0') {
    return {
      cause: 'user.max_user_namespaces is 0',
      remedies: ['As root: sysctl -w user.max_user_namespaces=15000'],
    };
  }
  if (readSetting('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1') return APPARMOR;
  if (ownStatus('Seccomp') === '2') return SECCOMP;
  return undefined;
}

const UNKNOWN: NamespaceRefusal = {
  cause: 'the kernel said no; neither a sysctl, AppArmor nor seccomp explains it',
  remedies: [
    'Check that the kernel has CONFIG_USER_NS and that you are not inside a chroot.',
    'Inside a container: run kiln as root there, or allow user namespaces in the outer container.',
  ],
};

/** The error for a namespace that could not be made; `said` is what unshare or mount printed. */
export function namespaceRefused(said: string): BuildError {
  const { cause, remedies } = namespaceRefusal() ?? UNKNOWN;
  return new BuildError(
    'HOST_USERNS_REFUSED',
    `This host does not let ${process.getuid?.() === 0 ? 'root' : 'a plain user'} make a user namespace: ${cause}.`,
    { suggestions: [...remedies, 'kiln doctor shows every check.'], output: outputLines(said) },
  );
}

/** The namespace was made, but the process in it has no power: Ubuntu's way of refusing. */
export function namespaceWithoutCapabilities(said: string): BuildError {
  const restricted = readSetting('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1';
  const { cause, remedies } = restricted
    ? APPARMOR
    : { cause: 'a security module takes them away', remedies: UNKNOWN.remedies };
  return new BuildError(
    'HOST_USERNS_NO_CAPABILITIES',
    `The user namespace was granted, but without capabilities: ${cause}.`,
    { suggestions: [...remedies, 'kiln doctor shows every check.'], output: outputLines(said) },
  );
}

/** Non-empty lines, for BuildError.output. */
export function outputLines(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}

/** Whether this is the host's own user namespace: only there may the host's network and devices be handled. */
export function inInitialUserNamespace(): boolean {
  return /^0\s+0\s+4294967295$/.test(readSetting('/proc/self/uid_map') ?? '');
}
