import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import { hostsFile, nameservers, resolvConf } from '../../src/executor/generated-files.ts';
import {
  identityMappings,
  idMappings,
  mappingArguments,
  subordinateRanges,
  userIdMaps,
} from '../../src/executor/id-map.ts';
import { plannedMounts, runtimeConfig } from '../../src/executor/oci-spec.ts';
import { lateComplaint, startFailure } from '../../src/executor/runtime-errors.ts';
import type { SandboxRequest } from '../../src/executor/sandbox.ts';
import { allowedNames } from '../../src/executor/seccomp.ts';
import { allowedRanges, defaultSeccompFilter, SYSCALL_TABLES } from '../../src/executor/seccomp-filter.ts';

const kiln = { uid: 1001, gid: 1002, name: 'kiln' };

describe('ID maps', () => {
  test('finds ranges by name and by number, several of them, past comments and junk', () => {
    const text = '# comment\nother:1:2\nkiln:100000:65536\n1001:300000:10\nkiln:x:y\nkiln:5:0\n\n';
    expect(subordinateRanges(text, kiln)).toEqual([
      { start: 100000, count: 65536 },
      { start: 300000, count: 10 },
    ]);
  });

  test('puts the caller at 0 and the ranges one after the other', () => {
    const mappings = idMappings(1001, [
      { start: 100000, count: 65536 },
      { start: 300000, count: 10 },
    ]);
    expect(mappingArguments(mappings).join(' ')).toBe('0 1001 1 1 100000 65536 65537 300000 10');
  });

  test('maps what root sees to itself', () => {
    expect(identityMappings('         0     100000      65536\n     65536          5          1\n')).toEqual([
      { inside: 0, outside: 0, count: 65536 },
      { inside: 65536, outside: 65536, count: 1 },
    ]);
  });

  test.each([
    ['', '', 'HOST_NO_SUBUID', 'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 kiln'],
    ['', 'kiln:1:9', 'HOST_NO_SUBUID', 'usermod --add-subuids 100000-165535 kiln'],
    ['kiln:1:9', '', 'HOST_NO_SUBGID', 'usermod --add-subgids 100000-165535 kiln'],
  ])('names the missing file and the cure (%j, %j)', (subuid, subgid, code, cure) => {
    expect(() => userIdMaps(kiln, subuid, subgid)).toThrow(
      expect.objectContaining({ code, suggestions: expect.arrayContaining([`As root: ${cure}`]) }),
    );
  });
});

describe('generated files', () => {
  const stub = 'search corp\nnameserver 127.0.0.53\noptions edns0\n';
  const real = 'nameserver 10.0.0.1\nnameserver ::1\n';

  test('resolv.conf is the host’s own with the host’s network', () => {
    expect(resolvConf('host', { host: stub, systemd: real, forwarder: '1.2.3.4' })).toBe(stub);
  });

  test('resolv.conf has no loopback server in a network of its own', () => {
    const ask = (host: string, systemd?: string): string[] =>
      nameservers(resolvConf('private', { host, systemd, forwarder: '169.254.1.1' }));
    expect(ask(stub, real)).toEqual(['10.0.0.1']);
    expect(ask(stub)).toEqual(['169.254.1.1']);
    expect(ask('nameserver 127.0.0.1\nnameserver 9.9.9.9\n', real)).toEqual(['9.9.9.9']);
    expect(resolvConf('private', { host: stub, systemd: undefined, forwarder: undefined })).toBe(
      'search corp\noptions edns0\n',
    );
  });

  test('hosts has localhost, the own name and added hosts', () => {
    expect(hostsFile('box', [{ name: 'db', address: '10.1.1.1' }])).toBe(
      '127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.1.1\tdb\n',
    );
  });
});

const request: SandboxRequest = {
  rootfs: '/r',
  argv: ['/bin/true'],
  env: ['A=b'],
  cwd: '/w',
  user: { uid: 1, gid: 2, additionalGids: [3] },
  mounts: [
    { type: 'bind', destination: '/a/b/c', source: '/src', readonly: true },
    { type: 'tmpfs', destination: '/a', size: 4096 },
  ],
  network: 'host',
  hostname: 'h',
  extraHosts: [],
  shmSize: 1024,
  ulimits: [],
  scratch: '/s',
  output: () => {},
  signal: new AbortController().signal,
};

describe('config.json', () => {
  const files = { hosts: '/s/hosts', resolvConf: '/s/resolv.conf', hostname: '/s/hostname' };
  const facts = { files, ownSysfs: false, isDirectory: () => true };

  test('mounts outer directories before inner ones and binds /sys where sysfs is refused', () => {
    const mounts = plannedMounts(request, facts);
    expect(mounts.map(({ destination }) => destination)).toEqual([
      '/proc',
      '/dev',
      '/dev/pts',
      '/dev/mqueue',
      '/dev/shm',
      '/sys',
      '/etc/hosts',
      '/etc/resolv.conf',
      '/etc/hostname',
      '/a',
      '/a/b/c',
    ]);
    expect(mounts.find(({ destination }) => destination === '/sys')?.type).toBe('bind');
    expect(mounts.at(-1)?.options).toContain('ro');
    expect(mounts.at(-2)?.options).toContain('size=4096');
  });

  test('has a network namespace only when asked, and "unlimited" in a form runtimes read', () => {
    const limits = [{ name: 'core', soft: 0, hard: -1 }];
    const make = (network: SandboxRequest['network'], networkNamespace?: string): string =>
      JSON.stringify(
        runtimeConfig({ ...request, network }, { mounts: [], limits, architecture: 'x64', networkNamespace }),
      );
    expect(make('host')).not.toContain('"network"');
    expect(make('none')).toContain('{"type":"network"}');
    expect(make('private', '/ns')).toContain('{"type":"network","path":"/ns"}');
    expect(make('host')).toContain('"hard":18446744073709551615');
    expect(make('host')).toContain('"noNewPrivileges":false');
  });
});

describe('seccomp', () => {
  const seccomp = createRequire(import.meta.url)('koffi').load('libseccomp.so.2');
  const resolve = seccomp.func('int seccomp_syscall_resolve_name_arch(uint32_t arch, const char *name)');
  /** Calls that libseccomp of Debian 12 does not know yet, and i386's, which it shows as parts of socketcall and ipc. */
  const late = new Set([335, 447, 451, 452, 453, 454, 455, 456, 457, 458, 462, 463, 464, 465, 466]);
  const direct = (number: number): boolean =>
    (number >= 359 && number <= 373) || (number >= 393 && number <= 402);

  test.each(['x64', 'x86', 'arm64', 'arm'] as const)('the numbers of %s are libseccomp’s', (architecture) => {
    const table = SYSCALL_TABLES[architecture];
    const numbers = new Set<number>();
    const names = allowedNames({ x64: 'x64', x86: 'x64', arm64: 'arm64', arm: 'arm64' }[architecture]);
    for (const name of names) {
      const number = resolve(table.audit, name);
      if (number >= 0) numbers.add(number);
    }
    const ours = new Set<number>();
    for (const [low, high] of allowedRanges(table)) for (let n = low; n <= high; n++) ours.add(n);
    expect([...numbers].filter((number) => !ours.has(number))).toEqual([]);
    const extra = [...ours].filter((number) => !numbers.has(number) && !late.has(number));
    expect(
      extra.filter(
        (number) => !(architecture === 'x86' && (direct(number) || number === 337 || number === 345)),
      ),
    ).toEqual([]);
    expect(table.clone).toBe(resolve(table.audit, 'clone'));
    expect(table.personality).toBe(resolve(table.audit, 'personality'));
  });

  /** Runs the filter as the kernel does: loads, jumps, masks, returns. */
  function verdict(program: Buffer, number: number, { audit = 0xc000003e, argument = 0 } = {}): number {
    const words = [number, audit, 0, 0, argument];
    let accumulator = 0;
    for (let at = 0; ; at++) {
      const code = program.readUInt16LE(at * 8);
      const value = program.readUInt32LE(at * 8 + 4);
      const jump = (holds: boolean): number => program.readUInt8(at * 8 + (holds ? 2 : 3));
      if (code === 0x06) return value;
      if (code === 0x20) accumulator = (words[value / 4] ?? 0) >>> 0;
      else if (code === 0x54) accumulator = (accumulator & value) >>> 0;
      else if (code === 0x05) at += value;
      else if (code === 0x15) at += jump(accumulator === value);
      else if (code === 0x25) at += jump(accumulator > value);
      else if (code === 0x35) at += jump(accumulator >= value);
      else throw new Error(`code ${code}`);
    }
  }

  test('the filter allows, refuses and says "not implemented" where the profile does', () => {
    const filter = defaultSeccompFilter('x64');
    if (filter === undefined) throw new Error('no filter');
    const [allow, eperm, enosys] = [0x7fff0000, 0x00050001, 0x00050026];
    for (const number of [0, 1, 59, 231, 257, 161, 439, 466]) expect(verdict(filter, number)).toBe(allow);
    for (const number of [165, 166, 272, 321, 169, 425, 442]) expect(verdict(filter, number)).toBe(eperm);
    for (const number of [435, 467, 500, 0x40000001]) expect(verdict(filter, number)).toBe(enosys);
    expect(verdict(filter, 56, { argument: 0x01200011 })).toBe(allow);
    expect(verdict(filter, 56, { argument: 0x10000000 })).toBe(eperm);
    for (const family of [1, 2, 10, 16, 17]) expect(verdict(filter, 41, { argument: family })).toBe(allow);
    for (const family of [12, 38, 40, 46]) expect(verdict(filter, 41, { argument: family })).toBe(eperm);
    expect(verdict(filter, 135, { argument: 8 })).toBe(allow);
    expect(verdict(filter, 135, { argument: 0x40000 })).toBe(eperm);
    expect(verdict(filter, 11, { audit: 0x40000003 })).toBe(allow);
    expect(verdict(filter, 21, { audit: 0x40000003 })).toBe(eperm);
    expect(verdict(filter, 0, { audit: 1 })).toBe(enosys);
  });
});

describe('what runtimes say', () => {
  test.each([
    ['executable file `foo` not found in $PATH: No such file or directory', 'RUN_COMMAND_NOT_FOUND'],
    [
      'runc run failed: unable to start container process: exec: "foo": executable file not found in $PATH',
      'RUN_COMMAND_NOT_FOUND',
    ],
    [
      'runc run failed: … exec: "/bin/nofile": stat /bin/nofile: no such file or directory',
      'RUN_COMMAND_NOT_FOUND',
    ],
    ['open executable: Permission denied', 'RUN_COMMAND_NOT_EXECUTABLE'],
    ['runc run failed: … exec: "/etc": permission denied', 'RUN_COMMAND_NOT_EXECUTABLE'],
    [
      'exec container process (missing dynamic library?) `/badscript`: No such file or directory',
      'RUN_COMMAND_NOT_FOUND',
    ],
    ['exec /x: exec format error', 'RUN_WRONG_ARCHITECTURE'],
    ['exec container process `/bin/sh`: Exec format error', 'RUN_WRONG_ARCHITECTURE'],
    ['chdir to `/nope`: No such file or directory', 'RUN_BAD_WORKDIR'],
    ['setrlimit `RLIMIT_NOFILE`: Operation not permitted', 'RUN_ULIMIT_REFUSED'],
    ['mount `proc` to `proc`: Operation not permitted', 'RUN_MOUNT_FAILED'],
    ['something new', 'RUN_NOT_STARTED'],
  ])('%s', (said, code) => {
    expect(startFailure({ argv: ['foo'], cwd: '/w', user: '0:0', said }).code).toBe(code);
  });

  test('tells a late complaint from a step’s own words', () => {
    expect(lateComplaint('{"msg":"exec container process `/x`: No such file","level":"error"}')).toContain(
      'exec container',
    );
    expect(lateComplaint('exec /x: no such file or directory')).toBeDefined();
    expect(lateComplaint('make: *** [all] Error 1')).toBeUndefined();
  });
});
