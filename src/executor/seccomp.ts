/**
 * The default system call filter of a RUN step: what Docker's default profile allows a process that has the default
 * capabilities (moby/profiles, seccomp/default.json, 2026). Kept as data, in the runtime-spec's terms.
 */

/** Conditions on an argument as the runtime-spec names them. */
interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_LT' | 'SCMP_CMP_MASKED_EQ';
}

interface SeccompRule {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArgument[];
}

/** `linux.seccomp` of the runtime-spec. */
export interface SeccompProfile {
  readonly defaultAction: 'SCMP_ACT_ERRNO';
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SeccompRule[];
}

/** Errno numbers that the filter answers with; the same on every Linux architecture kiln knows. */
export const EPERM = 1;
export const ENOSYS = 38;

/** Namespace flags of clone(2): a process without CAP_SYS_ADMIN may set none of them. */
export const CLONE_NAMESPACE_FLAGS = 0x7e020000;

/** personality(2) values: Linux, Linux32 of old, the two with UNAME26, and "tell me". */
export const ALLOWED_PERSONALITIES = [0, 8, 0x20000, 0x20008, 0xffffffff] as const;

/** Address families from 12 on that socket(2) may use: not AF_ALG, AF_VSOCK and the ones nothing uses. */
export const FIRST_CHECKED_FAMILY = 12;
export const ALLOWED_FAMILIES = [
  13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45,
] as const;

/** Calls allowed whatever their arguments are. */
const ALLOWED = `accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 chroot
clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group
faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32
fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs
fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32
getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32
getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr
getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek
lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir
mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open
pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2
prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2
read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr
removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending
rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg
sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack
signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink
symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat
utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev`;

const X86_ONLY = ['arch_prctl', 'modify_ldt'];
const ARM_ONLY = [
  'arm_fadvise64_64',
  'arm_sync_file_range',
  'sync_file_range2',
  'breakpoint',
  'cacheflush',
  'set_tls',
];

interface Architecture {
  /** The native architecture and the ones whose programs the kernel also runs. */
  readonly tokens: readonly string[];
  readonly extra: readonly string[];
  /** Position of clone(2)'s flags. */
  readonly cloneFlags: 0 | 1;
}

/** By `process.arch`. x32 is left out: kernels have it switched off, and each architecture costs a start 3 ms. */
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  x64: { tokens: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'], extra: X86_ONLY, cloneFlags: 0 },
  ia32: { tokens: ['SCMP_ARCH_X86'], extra: X86_ONLY, cloneFlags: 0 },
  arm64: { tokens: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'], extra: ARM_ONLY, cloneFlags: 0 },
  arm: { tokens: ['SCMP_ARCH_ARM'], extra: ARM_ONLY, cloneFlags: 0 },
  riscv64: { tokens: ['SCMP_ARCH_RISCV64'], extra: ['riscv_flush_icache'], cloneFlags: 0 },
  loong64: { tokens: ['SCMP_ARCH_LOONGARCH64'], extra: [], cloneFlags: 0 },
  ppc64: { tokens: ['SCMP_ARCH_PPC64LE'], extra: ['sync_file_range2', 'swapcontext'], cloneFlags: 0 },
  s390x: {
    tokens: ['SCMP_ARCH_S390X', 'SCMP_ARCH_S390'],
    extra: ['s390_pci_mmio_read', 's390_pci_mmio_write', 's390_runtime_instr'],
    cloneFlags: 1,
  },
};

/** Names allowed without a condition on an architecture (`process.arch`), for the profile and for its tests. */
export function allowedNames(architecture: string): readonly string[] {
  return [...ALLOWED.split(/\s+/), ...(ARCHITECTURES[architecture]?.extra ?? [])];
}

/** The profile for an architecture (`process.arch`); undefined for one that kiln does not know. */
export function defaultSeccompProfile(architecture: string): SeccompProfile | undefined {
  const known = ARCHITECTURES[architecture];
  if (known === undefined) return undefined;
  const allow = (name: string, argument: Omit<SeccompArgument, 'index'>, index = 0): SeccompRule => ({
    names: [name],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index, ...argument }],
  });
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: known.tokens,
    syscalls: [
      { names: allowedNames(architecture), action: 'SCMP_ACT_ALLOW' },
      allow('socket', { value: FIRST_CHECKED_FAMILY, op: 'SCMP_CMP_LT' }),
      ...ALLOWED_FAMILIES.map((value) => allow('socket', { value, op: 'SCMP_CMP_EQ' })),
      ...ALLOWED_PERSONALITIES.map((value) => allow('personality', { value, op: 'SCMP_CMP_EQ' })),
      allow(
        'clone',
        { value: CLONE_NAMESPACE_FLAGS, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' },
        known.cloneFlags,
      ),
      // Its flags are behind a pointer, so no filter can look at them: programs fall back to clone on ENOSYS.
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    ],
  };
}
