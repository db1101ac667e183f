/**
 * What this host offers to a build, one line a check, for `kiln doctor` and for the end of a failure. `probeHost` looks
 * from outside and needs nothing; `probeInside` runs in the namespace and tries things out. Data only, no printing.
 */
import { accessSync, constants, readFileSync, statfsSync, statSync } from 'node:fs';
import { arch, userInfo } from 'node:os';
import { BuildError, messageOf } from '../errors.ts';
import { findExecutable } from '../system/process.ts';
import { chooseSandbox } from './choose-sandbox.ts';
import { type IdOwner, subordinateRanges } from './id-map.ts';
import type { NamespaceSetup } from './namespace-wire.ts';
import { findNetworkTools } from './network.ts';
import { findOciRuntime, runtimeVersion } from './oci-sandbox.ts';
import {
  CAP_SYS_ADMIN,
  hasCapability,
  installCommand,
  namespaceRefusal,
  ownStatus,
  readSetting,
} from './remedies.ts';

export interface Check {
  /** Stable name, such as "user-namespace". */
  readonly id: string;
  /** warn: builds work, but slower or with a feature missing. fail: what needs it does not work. */
  readonly status: 'ok' | 'warn' | 'fail';
  readonly found: string;
  readonly remedy?: string;
}

export interface HostQuestion {
  readonly env: NodeJS.ProcessEnv;
  /** Directory of the store, or the nearest one above it that exists. */
  readonly store: string;
}

/** Looks at the host from outside the namespace. */
export function probeHost({ env, store }: HostQuestion): Check[] {
  const path = env['PATH'];
  return [
    checkUser(),
    checkUserNamespace(),
    checkIdHelpers(path),
    checkSubordinateIds(),
    checkSeccomp(),
    checkAppArmor(),
    checkFuseDevice(),
    checkFuseOverlayfs(path),
    checkRuntime(path),
    checkCgroups(),
    checkNetwork(path),
    checkGit(path),
    checkStore(store),
  ];
}

/** Looks around inside the namespace; `snapshotter` is what a trial mount found (snapshot/choose-snapshotter.ts). */
export function probeInside(
  setup: NamespaceSetup,
  searchPath: string | undefined,
  snapshotter: { readonly name: string; readonly reason: string },
): Check[] {
  return [
    setup.pidNamespace || setup.mode === 'none'
      ? { id: 'proc-mount', status: setup.mode === 'none' ? 'warn' : 'ok', found: procFound(setup) }
      : {
          id: 'proc-mount',
          status: 'warn',
          found: 'a fresh /proc is refused: /proc is masked by an outer container; no PID namespace is used',
          remedy:
            'docker run --security-opt systempaths=unconfined …; in Kubernetes securityContext.procMount: Unmasked',
        },
    {
      id: 'snapshotter',
      status: snapshotter.name === 'copy' ? 'warn' : 'ok',
      found: `${snapshotter.name} (${snapshotter.reason})`,
    },
    checkSandbox(setup, searchPath),
  ];
}

function procFound({ mode }: NamespaceSetup): string {
  return mode === 'none' ? 'no namespaces here, so no /proc for steps' : 'a fresh /proc can be mounted';
}

/** A refusal of the namespace as a check, so that doctor shows it in its place. */
export function namespaceCheck(error: unknown): Check {
  if (!(error instanceof BuildError)) return { id: 'namespace', status: 'fail', found: messageOf(error) };
  const [remedy] = error.suggestions;
  return {
    id: 'namespace',
    status: 'fail',
    found: `${error.code}: ${error.message}`,
    ...(remedy === undefined ? {} : { remedy }),
  };
}

function checkSandbox(setup: NamespaceSetup, searchPath: string | undefined): Check {
  try {
    const { sandbox, reason } = chooseSandbox({ isolation: 'auto', setup, searchPath });
    return {
      id: 'sandbox',
      status: sandbox.name === 'oci' ? 'ok' : 'warn',
      found: `${sandbox.description} (${reason})`,
    };
  } catch (error) {
    return { ...namespaceCheck(error), id: 'sandbox' };
  }
}

function owner(): IdOwner {
  const ids = { uid: process.getuid?.() ?? -1, gid: process.getgid?.() ?? -1 };
  try {
    return { ...ids, name: userInfo().username };
  } catch {
    return { ...ids, name: undefined };
  }
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

function checkUser(): Check {
  const { uid, name } = owner();
  const powers = hasCapability(CAP_SYS_ADMIN) ? 'with CAP_SYS_ADMIN' : 'without CAP_SYS_ADMIN';
  const kernel = readSetting('/proc/sys/kernel/osrelease') ?? 'unknown';
  return { id: 'user', status: 'ok', found: `${name ?? uid} (${uid}) ${powers}, Linux ${kernel}, ${arch()}` };
}

function checkUserNamespace(): Check {
  const id = 'user-namespace';
  const refusal = namespaceRefusal();
  if (isRoot() && hasCapability(CAP_SYS_ADMIN)) return { id, status: 'ok', found: 'not needed as root' };
  if (refusal === undefined) {
    const most = readSetting('/proc/sys/user/max_user_namespaces') ?? 'unknown';
    return { id, status: 'ok', found: `nothing forbids it (user.max_user_namespaces = ${most})` };
  }
  return {
    id,
    status: isRoot() ? 'warn' : 'fail',
    found: refusal.cause,
    ...(refusal.remedies[0] === undefined ? {} : { remedy: refusal.remedies[0] }),
  };
}

function checkIdHelpers(path: string | undefined): Check {
  const id = 'newuidmap';
  if (isRoot()) return { id, status: 'ok', found: 'not needed as root' };
  const helpers = ['newuidmap', 'newgidmap'].map((name) => ({ name, at: findExecutable(name, path) }));
  const missing = helpers.filter(({ at }) => at === undefined).map(({ name }) => name);
  if (missing.length > 0) {
    const found = `${missing.join(' and ')} not installed`;
    return { id, status: 'fail', found, remedy: installCommand('newuidmap') };
  }
  const noNewPrivileges = ownStatus('NoNewPrivs') === '1';
  if (noNewPrivileges) {
    return {
      id,
      status: 'fail',
      found: 'no_new_privs is set, so their setuid bit does nothing',
      remedy: 'In Kubernetes: securityContext.allowPrivilegeEscalation: true',
    };
  }
  const plain = helpers.filter(({ at }) => at !== undefined && (statSync(at).mode & 0o6000) === 0);
  return {
    id,
    status: plain.length === 0 ? 'ok' : 'warn',
    found: helpers
      .map(({ at }) => at ?? '')
      .concat(plain.length === 0 ? [] : ['not setuid: they need file capabilities'])
      .join(', '),
    ...(plain.length === 0 ? {} : { remedy: `chmod u+s ${plain.map(({ at }) => at).join(' ')}` }),
  };
}

function checkSubordinateIds(): Check {
  const id = 'subordinate-ids';
  if (isRoot()) return { id, status: 'ok', found: 'not needed as root' };
  const who = owner();
  const counts = ['/etc/subuid', '/etc/subgid'].map((file) =>
    subordinateRanges(readWhole(file), who).reduce((sum, { count }) => sum + count, 0),
  );
  const fewest = Math.min(...counts);
  const found = `${counts[0]} user IDs, ${counts[1]} group IDs`;
  if (fewest >= 65_535) return { id, status: 'ok', found };
  const remedy = `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${who.name ?? who.uid}`;
  return { id, status: fewest === 0 ? 'fail' : 'warn', found: `${found} (65536 wanted)`, remedy };
}

function readWhole(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function checkSeccomp(): Check {
  const id = 'seccomp';
  const mode = ownStatus('Seccomp');
  if (mode !== '2') return { id, status: 'ok', found: 'no filter on this process' };
  return { id, status: 'warn', found: 'a filter is active: inside a container; it may refuse namespaces' };
}

function checkAppArmor(): Check {
  const id = 'apparmor';
  const restricted = readSetting('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1';
  const profile = readSetting('/proc/self/attr/current') || 'none';
  if (!restricted || isRoot()) return { id, status: 'ok', found: `profile: ${profile}` };
  return {
    id,
    status: 'fail',
    found: 'unprivileged user namespaces get no capabilities (Ubuntu 24.04 default)',
    remedy: 'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
  };
}

function checkFuseDevice(): Check {
  const id = 'fuse-device';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return { id, status: 'ok', found: '/dev/fuse can be opened' };
  } catch {
    return {
      id,
      status: 'warn',
      found: '/dev/fuse is missing or closed to this user (only fuse-overlayfs needs it)',
      remedy: 'In a container: --device /dev/fuse',
    };
  }
}

function checkFuseOverlayfs(path: string | undefined): Check {
  const id = 'fuse-overlayfs';
  const program = findExecutable('fuse-overlayfs', path);
  if (program !== undefined) return { id, status: 'ok', found: program };
  const found = 'not installed (only needed where the kernel refuses overlay)';
  return { id, status: 'warn', found, remedy: installCommand('fuse-overlayfs') };
}

function checkRuntime(path: string | undefined): Check {
  const id = 'oci-runtime';
  const runtime = findOciRuntime(path);
  if (runtime === undefined) {
    return {
      id,
      status: 'warn',
      found: 'neither crun nor runc: RUN uses chroot',
      remedy: installCommand('runtime'),
    };
  }
  return { id, status: 'ok', found: `${runtime.name} ${runtimeVersion(runtime)} (${runtime.path})` };
}

function checkCgroups(): Check {
  const mounts = readWhole('/proc/self/mounts').split('\n');
  const has = (type: string): boolean => mounts.some((line) => line.split(' ')[2] === type);
  const [v1, v2] = [has('cgroup'), has('cgroup2')];
  const found = v1 && v2 ? 'hybrid (v1 and v2)' : v2 ? 'v2' : v1 ? 'v1' : 'none mounted';
  return { id: 'cgroup', status: 'ok', found: `${found}; steps use none` };
}

function checkNetwork(path: string | undefined): Check {
  const id = 'network-helper';
  const { pasta, slirp4netns } = findNetworkTools(path);
  const found = [pasta, slirp4netns].filter((program) => program !== undefined).join(', ');
  if (found !== '') return { id, status: 'ok', found };
  return {
    id,
    status: 'warn',
    found: 'neither pasta nor slirp4netns: RUN has the host network or none',
    remedy: installCommand('pasta'),
  };
}

function checkGit(path: string | undefined): Check {
  const program = findExecutable('git', path);
  if (program !== undefined) return { id: 'git', status: 'ok', found: program };
  const found = 'not installed: git contexts do not work';
  return { id: 'git', status: 'warn', found, remedy: installCommand('git') };
}

/** Filesystem types by their magic numbers (linux/magic.h). */
const FILESYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  16914836: 'tmpfs',
  2035054128: 'overlay',
  26985: 'nfs',
  801189825: 'zfs',
  1702057286: 'fuse',
  4076150800: 'f2fs',
};

const LITTLE_SPACE = 2 * 1024 ** 3;

function checkStore(store: string): Check {
  const id = 'store';
  try {
    const { type, bavail, bsize, ffree, files } = statfsSync(store);
    const free = bavail * bsize;
    const name = FILESYSTEMS[type] ?? `type 0x${type.toString(16)}`;
    const found = `${store} on ${name}, ${(free / 1024 ** 3).toFixed(1)} GiB free`;
    if (files > 0 && ffree < 10_000) {
      return { id, status: 'warn', found: `${found}, ${ffree} inodes free`, remedy: 'kiln prune' };
    }
    if (free < LITTLE_SPACE) return { id, status: 'warn', found, remedy: 'kiln prune' };
    if (name === 'nfs') {
      const remedy = 'Put the store on a local disk: KILN_HOME=/var/tmp/kiln-$USER';
      return { id, status: 'warn', found: `${found}: owners and whiteouts may be refused`, remedy };
    }
    return { id, status: 'ok', found };
  } catch (error) {
    return { id, status: 'fail', found: `${store}: ${messageOf(error)}` };
  }
}
