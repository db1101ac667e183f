/**
 * Entry point: the process that becomes a chroot step. It mounts what the step sees, goes into the root filesystem,
 * gives up what a step may not have, and turns into the command. Reads its plan from the file named in argv.
 */
import {
  existsSync,
  fchownSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { messageOf, systemErrorCode } from '../errors.ts';
import { toByteString } from '../system/byte-path.ts';
import { MOUNT } from '../system/mount-calls.ts';
import {
  bringLoopbackUp,
  changeRoot,
  defaultSignal,
  execute,
  installFilter,
  keepOnExecute,
  processControl,
  setHostname,
  setResourceLimit,
} from '../system/process-calls.ts';
import { takeTerminal } from '../system/terminal-calls.ts';
import { type ChrootPlan, type ChrootReport, REPORT_FD } from './chroot-plan.ts';
import { changeFlags, makeMount } from './mount-options.ts';
import { type DEFAULT_CAPABILITIES, MASKED_PATHS, READONLY_PATHS } from './oci-spec.ts';
import { defaultSeccompFilter } from './seccomp-filter.ts';

const PR_SET_PDEATHSIG = 1;
const PR_CAPBSET_DROP = 24;

/** Numbers of the default capabilities (linux/capability.h). */
const CAPABILITY_NUMBERS: Readonly<Record<(typeof DEFAULT_CAPABILITIES)[number], number>> = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_FOWNER: 3,
  CAP_FSETID: 4,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_RAW: 13,
  CAP_SYS_CHROOT: 18,
  CAP_MKNOD: 27,
  CAP_AUDIT_WRITE: 29,
  CAP_SETFCAP: 31,
};
const KEPT_CAPABILITIES: ReadonlySet<number> = new Set(Object.values(CAPABILITY_NUMBERS));
const LAST_CAPABILITY = 40;

const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
const DEVICE_LINKS = { fd: '/proc/self/fd', stdin: 'fd/0', stdout: 'fd/1', stderr: 'fd/2', ptmx: 'pts/ptmx' };

let stage: ChrootReport['stage'] = 'setup';

function main(): void {
  const plan = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as ChrootPlan;
  processControl(PR_SET_PDEATHSIG, constants.signals.SIGKILL);
  if (plan.isolated) {
    stage = 'mount';
    mountAll(plan);
    setHostname(plan.hostname);
  }
  if (plan.loopback) bringLoopbackUp();
  stage = 'limit';
  for (const { name, soft, hard } of plan.limits) setResourceLimit(name, soft, hard);
  stage = 'setup';
  if (plan.terminal) takeTerminal(0);
  for (const fd of plan.terminal ? [0] : [1, 2]) fchownSync(fd, plan.user.uid, plan.user.gid);
  changeRoot(toByteString(plan.rootfs));
  process.chdir('/');
  const filter = plan.isolated ? defaultSeccompFilter(process.arch) : undefined;
  if (filter !== undefined) installFilter(filter);
  becomeUser(plan);
  stage = 'cwd';
  process.chdir(plan.cwd);
  stage = 'command';
  start(plan);
}

function mountAll({ rootfs, mounts, ownPids, readonlyRoot }: ChrootPlan): void {
  const root = { destination: '/', type: 'bind', source: rootfs, options: ['bind'] };
  if (readonlyRoot) makeMount(root, rootfs);
  for (const mount of mounts) {
    const target = join(rootfs, mount.destination);
    if (mount.destination === '/proc' && !ownPids) {
      makeMount({ ...mount, source: '/proc', options: ['rbind'] }, target);
      continue;
    }
    makeMissing(mount, target);
    makeMount(mount, target);
    if (mount.destination === '/dev') fillDev(target);
  }
  for (const path of READONLY_PATHS) {
    const target = join(rootfs, path);
    if (!existsSync(target)) continue;
    makeMount({ destination: path, type: 'bind', source: target, options: ['rbind'] }, target);
    changeFlags(target, MOUNT.readonly);
  }
  for (const path of MASKED_PATHS) mask(join(rootfs, path));
  if (readonlyRoot) changeFlags(rootfs, MOUNT.readonly);
}

/** Mount points below another mount of the plan; the others are there already. */
function makeMissing({ type, source }: ChrootPlan['mounts'][number], target: string): void {
  if (existsSync(target)) return;
  if (type !== 'bind' || statSync(source).isDirectory()) mkdirSync(target, { recursive: true });
  else writeFileSync(target, '');
}

function fillDev(dev: string): void {
  for (const name of DEVICES) {
    writeFileSync(join(dev, name), '');
    makeMount(
      { destination: name, type: 'bind', source: `/dev/${name}`, options: ['bind'] },
      join(dev, name),
    );
  }
  for (const [name, target] of Object.entries(DEVICE_LINKS)) symlinkSync(target, join(dev, name));
}

function mask(target: string): void {
  const stat = statSync(target, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (stat.isDirectory()) {
    makeMount({ destination: '', type: 'tmpfs', source: 'tmpfs', options: ['ro', 'size=0k'] }, target);
  } else makeMount({ destination: '', type: 'bind', source: '/dev/null', options: ['bind'] }, target);
}

function becomeUser({ user }: ChrootPlan): void {
  stage = 'user';
  for (let bit = 0; bit <= LAST_CAPABILITY; bit++) {
    if (KEPT_CAPABILITIES.has(bit)) continue;
    try {
      processControl(PR_CAPBSET_DROP, bit);
    } catch (error) {
      // A kernel that does not know it has not given it to us either.
      if (systemErrorCode(error) !== 'EINVAL') throw error;
    }
  }
  process.setgroups?.([...user.additionalGids]);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
  process.umask(0o022);
}

/** Looks the command up as a shell does and turns into it. */
function start({ argv, env }: ChrootPlan): never {
  const [command = ''] = argv;
  // What Node ignores or closes for itself is put back: the command is to see a process like any other.
  for (const signal of [constants.signals.SIGPIPE, constants.signals.SIGXFSZ]) defaultSignal(signal);
  for (const fd of [0, 1, 2]) keepOnExecute(fd);
  const searched = env.findLast((entry) => entry.startsWith('PATH='))?.slice(5) ?? '';
  const candidates = command.includes('/')
    ? [command]
    : searched.split(':').map((directory) => join(directory || '.', command));
  let failure: unknown;
  for (const path of candidates) {
    try {
      execute(toByteString(path), argv.map(toByteString), env.map(toByteString));
    } catch (error) {
      const code = systemErrorCode(error);
      // As with execvp: a file that may not be run is remembered, the search goes on.
      if (failure === undefined || code === 'EACCES') failure = error;
      if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EACCES') throw error;
      if (code === 'ENOENT' && existsSync(path))
        throw Object.assign(new Error('interpreter'), { code: 'INTERPRETER' });
    }
  }
  throw failure;
}

try {
  main();
} catch (error) {
  const report: ChrootReport = { stage, code: systemErrorCode(error) ?? '', message: messageOf(error) };
  writeSync(REPORT_FD, JSON.stringify(report));
  process.exit(127);
}
