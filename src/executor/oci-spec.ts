/** From a sandbox request to the config.json of the OCI runtime-spec. Pure: what must be looked up is passed in. */
import { GENERATED_PATHS, type GeneratedFiles } from './generated-files.ts';
import type { SandboxMount, SandboxRequest } from './sandbox.ts';
import { defaultSeccompProfile, type SeccompProfile } from './seccomp.ts';
import { defaultSeccompFilter } from './seccomp-filter.ts';

/** Docker's default capabilities. */
export const DEFAULT_CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
] as const;

/** Parts of /proc and /sys that tell about the host or reach into it; the same as Docker's. */
export const MASKED_PATHS = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];
export const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** One mount of the runtime-spec. */
export interface RuntimeMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** A mount with what its mount point must be; `undefined` when a mount before it brings the mount point along. */
export interface PlannedMount extends RuntimeMount {
  readonly mountPoint: 'directory' | 'file' | undefined;
}

export interface MountFacts {
  readonly files: GeneratedFiles;
  /** A new sysfs can only be mounted by the owner of the network namespace; otherwise the host's is bound. */
  readonly ownSysfs: boolean;
  /** Whether a host path is a directory. */
  readonly isDirectory: (path: string) => boolean;
}

/** Every mount of a step, in the order they are made. */
export function plannedMounts(request: SandboxRequest, facts: MountFacts): PlannedMount[] {
  const generated = (Object.keys(GENERATED_PATHS) as (keyof GeneratedFiles)[]).map(
    (name): PlannedMount => ({
      destination: GENERATED_PATHS[name],
      type: 'bind',
      source: facts.files[name],
      options: ['bind', 'rprivate'],
      mountPoint: 'file',
    }),
  );
  const byDepth = [...request.mounts].sort((a, b) => depth(a.destination) - depth(b.destination));
  return [
    ...kernelMounts(request, facts.ownSysfs),
    ...generated,
    ...byDepth.map((mount) => requestedMount(mount, facts.isDirectory)),
  ];
}

function depth(path: string): number {
  return path.split('/').filter((part) => part !== '').length;
}

function kernelMounts({ shmSize }: SandboxRequest, ownSysfs: boolean): PlannedMount[] {
  const closed = ['nosuid', 'noexec', 'nodev'];
  const inDev = { mountPoint: undefined } as const;
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: closed, mountPoint: 'directory' },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
      mountPoint: 'directory',
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
      ...inDev,
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: closed, ...inDev },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: [...closed, 'mode=1777', `size=${shmSize}`],
      ...inDev,
    },
    ownSysfs
      ? {
          destination: '/sys',
          type: 'sysfs',
          source: 'sysfs',
          options: [...closed, 'ro'],
          mountPoint: 'directory',
        }
      : {
          destination: '/sys',
          type: 'bind',
          source: '/sys',
          options: ['rbind', 'rprivate', ...closed, 'ro'],
          mountPoint: 'directory',
        },
  ];
}

function requestedMount(mount: SandboxMount, isDirectory: MountFacts['isDirectory']): PlannedMount {
  const access = mount.readonly === true ? 'ro' : 'rw';
  if (mount.type === 'tmpfs') {
    return {
      destination: mount.destination,
      type: 'tmpfs',
      source: 'tmpfs',
      options: [
        'nosuid',
        'nodev',
        'mode=1777',
        access,
        ...(mount.size === undefined ? [] : [`size=${mount.size}`]),
      ],
      mountPoint: 'directory',
    };
  }
  const source = mount.source ?? '';
  return {
    destination: mount.destination,
    type: 'bind',
    source,
    options: ['rbind', 'rprivate', access],
    mountPoint: isDirectory(source) ? 'directory' : 'file',
  };
}

export interface ConfigFacts {
  /** Mounts with their destinations resolved in the root filesystem. */
  readonly mounts: readonly RuntimeMount[];
  /** The limits of the request and the defaults (limits.ts). */
  readonly limits: SandboxRequest['ulimits'];
  /** process.arch of the machine. */
  readonly architecture: string;
  /** A network namespace made before, such as pasta's; none for 'host', a new one for 'none'. */
  readonly networkNamespace?: string | undefined;
}

/** The part of the runtime-spec that kiln writes. */
export interface RuntimeConfig {
  readonly ociVersion: string;
  readonly process: Readonly<Record<string, unknown>>;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly mounts: readonly RuntimeMount[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly linux: Readonly<Record<string, unknown>> & { readonly seccomp?: SeccompProfile };
}

/** The whole config.json. */
export function runtimeConfig(request: SandboxRequest, facts: ConfigFacts): RuntimeConfig {
  const seccomp = defaultSeccompProfile(facts.architecture);
  const filter = defaultSeccompFilter(facts.architecture);
  return {
    ociVersion: '1.0.2',
    process: runtimeProcess(request, facts.limits),
    root: { path: request.rootfs, readonly: request.readonlyRoot === true },
    hostname: request.hostname,
    mounts: facts.mounts,
    // crun takes the ready filter; runc knows only the profile.
    ...(filter === undefined
      ? {}
      : { annotations: { 'run.oci.seccomp_bpf_data': filter.toString('base64') } }),
    linux: {
      namespaces: namespaces(request, facts.networkNamespace),
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
      ...(seccomp === undefined ? {} : { seccomp }),
    },
  };
}

function runtimeProcess(
  request: SandboxRequest,
  limits: SandboxRequest['ulimits'],
): Readonly<Record<string, unknown>> {
  const { uid, gid, additionalGids } = request.user;
  const { output } = request;
  const terminal = typeof output === 'function' ? undefined : output.terminal;
  return {
    terminal: terminal !== undefined,
    ...(terminal === undefined ? {} : { consoleSize: { width: terminal.columns, height: terminal.rows } }),
    user: { uid, gid, umask: 0o022, additionalGids },
    args: request.argv,
    env: request.env,
    cwd: request.cwd,
    capabilities: {
      bounding: DEFAULT_CAPABILITIES,
      effective: DEFAULT_CAPABILITIES,
      permitted: DEFAULT_CAPABILITIES,
    },
    rlimits: limits.map(({ name, soft, hard }) => ({
      type: `RLIMIT_${name.toUpperCase()}`,
      soft: limit(soft),
      hard: limit(hard),
    })),
    // su, sudo and ping in a RUN need their setuid bit.
    noNewPrivileges: false,
  };
}

/** TypeScript does not know this part of ES2025 yet: a number in JSON that a double cannot hold. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** "Unlimited" is 2^64 - 1 in the runtime-spec. */
function limit(value: number): unknown {
  return value < 0 ? rawJSON('18446744073709551615') : value;
}

function namespaces(
  request: SandboxRequest,
  networkNamespace: string | undefined,
): readonly { readonly type: string; readonly path?: string }[] {
  const made = ['pid', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type }));
  if (networkNamespace !== undefined) return [...made, { type: 'network', path: networkNamespace }];
  return request.network === 'host' ? made : [...made, { type: 'network' }];
}
