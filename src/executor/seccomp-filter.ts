/**
 * The default profile as a ready filter program. crun takes one by annotation, which spares each step the 10 ms in
 * which libseccomp compiles the profile. Pure. A test holds the numbers against libseccomp's tables.
 */
import {
  ALLOWED_FAMILIES,
  ALLOWED_PERSONALITIES,
  CLONE_NAMESPACE_FLAGS,
  ENOSYS,
  EPERM,
  FIRST_CHECKED_FAMILY,
} from './seccomp.ts';

/** What the filter needs to know of one system call table. */
export interface SyscallTable {
  /** AUDIT_ARCH_…: how the kernel names the table to the filter. */
  readonly audit: number;
  readonly socket: number;
  readonly personality: number;
  readonly clone: number;
  /** Numbers allowed whatever the arguments are. */
  readonly allowed: string;
}

/** clone3 and everything from 424 on has one number on all architectures. */
const CLONE3 = 435;

/** Above this the profile knows nothing: "not implemented" lets programs fall back, as on an older kernel. */
const LAST_KNOWN = 466;

const COMMON = '424 434 436-437 439 441 444-446 448-449 451-458 462-466';

/** By seccomp's own names for the architectures. */
export const SYSCALL_TABLES: Readonly<Record<'x64' | 'x86' | 'arm64' | 'arm', SyscallTable>> = {
  x64: {
    audit: 0xc000003e,
    socket: 41,
    personality: 135,
    clone: 56,
    allowed: `0-40 42-55 57-102 104-133 137-138 140-152 154 157-162 186-211 213-226 228-235 240-245 247 251-255 257-271
      273-278 280-297 299 301-303 305-307 309-311 314-319 322 324-335 447 ${COMMON}`,
  },
  x86: {
    audit: 0x40000003,
    socket: 359,
    personality: 136,
    clone: 120,
    allowed: `0-16 19-20 23-24 26-27 29-30 33 36-43 45-47 49-50 54-55 57 60-61 63-66 70-71 75-78 80-83 85 90-97 99-100
      102 104-108 114 116-119 122-126 132-133 138-148 150-165 168 170-187 190-216 218-221 224-250 252 254-263 265-272
      277-282 284 289-293 295-309 311-316 318-335 337 339-341 343-345 347-348 351-356 358 360-373 375-386 393-403
      405-414 416-424 447 ${COMMON}`,
  },
  arm64: {
    audit: 0xc00000b7,
    socket: 198,
    personality: 92,
    clone: 220,
    allowed: `0-17 19-38 43-57 59 61-88 90-91 93-96 98-103 107-111 113-115 117-141 143-160 163-169 171-197 199-216
      221-223 226-234 240 242-243 260-261 263-264 266-267 269-271 274-279 281 283-293 447 ${COMMON}`,
  },
  arm: {
    audit: 0x40000028,
    socket: 281,
    personality: 136,
    clone: 120,
    allowed: `0-6 8-12 14-16 19-20 23-24 26 29 33 36-43 45-47 49-50 54-55 57 60-61 63-66 70-71 75 77-78 80-81 83 85
      91-97 99-100 104-108 114 116 118-119 122 124-126 132-133 138-148 150-165 168 170-187 190-217 219-221 224-248
      250-253 256-261 263-270 274-280 282-308 312 314-318 322-336 338-343 345-346 348-363 365-366 368-370 372-374
      376-377 380-385 387 389-399 403 405-414 416-424 983041-983042 983045 ${COMMON}`,
  },
};

const BY_ARCHITECTURE: Readonly<Record<string, readonly SyscallTable[]>> = {
  x64: [SYSCALL_TABLES.x64, SYSCALL_TABLES.x86],
  arm64: [SYSCALL_TABLES.arm64, SYSCALL_TABLES.arm],
};

/** Inclusive ranges, ascending, neighbours joined. */
export function allowedRanges(table: SyscallTable): [number, number][] {
  const ranges = table.allowed
    .trim()
    .split(/\s+/)
    .map((text): [number, number] => {
      const [low, high] = text.split('-').map(Number);
      return [low ?? 0, high ?? low ?? 0];
    })
    .sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const range of ranges) {
    const last = joined.at(-1);
    if (last !== undefined && range[0] <= last[1] + 1) last[1] = Math.max(last[1], range[1]);
    else joined.push([...range]);
  }
  return joined;
}

/** Classic BPF opcodes: load a word of seccomp_data, compare and jump, mask, return. */
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const JUMP_AT_LEAST = 0x35;
const AND = 0x54;
const RETURN = 0x06;

/** Offsets in seccomp_data. The low word of the first argument: every architecture here is little-endian. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const FIRST_ARGUMENT = 16;

const ALLOW = 0x7fff0000;
const errno = (code: number): number => 0x00050000 | code;

interface Instruction {
  readonly code: number;
  readonly value: number;
  readonly ifTrue?: number;
  readonly ifFalse?: number;
}

const answer = (value: number): Instruction => ({ code: RETURN, value });

/** "When the number is `number`, go on with `body`" (which must end in answers). */
function when(number: number, body: readonly Instruction[]): Instruction[] {
  return [{ code: JUMP_EQUAL, value: number, ifFalse: body.length }, ...body];
}

/** "Allow when the first argument is one of `values`." */
function allowArguments(values: readonly number[], below = 0): Instruction[] {
  const checks = values.map((value, index) => ({
    code: JUMP_EQUAL,
    value,
    ifTrue: values.length - index,
  }));
  return [
    { code: LOAD, value: FIRST_ARGUMENT },
    { code: JUMP_AT_LEAST, value: below, ifFalse: values.length + 1 },
    ...checks,
    answer(errno(EPERM)),
    answer(ALLOW),
  ];
}

/** The program for one table; the number is loaded first. The kernel remembers what is always allowed. */
function tableProgram(table: SyscallTable): Instruction[] {
  const clone: Instruction[] = [
    { code: LOAD, value: FIRST_ARGUMENT },
    { code: AND, value: CLONE_NAMESPACE_FLAGS },
    { code: JUMP_EQUAL, value: 0, ifFalse: 1 },
    answer(ALLOW),
    answer(errno(EPERM)),
  ];
  const ranges = allowedRanges(table);
  const highest = ranges.at(-1)?.[1] ?? 0;
  const checks = ranges.flatMap(([low, high], index): Instruction[] => {
    const rest = (ranges.length - index - 1) * 2;
    return [
      { code: JUMP_GREATER, value: high, ifTrue: 1 },
      // Not above this range: inside it (allowed) or in the gap before it (refused).
      { code: JUMP_AT_LEAST, value: low, ifTrue: rest + 1, ifFalse: rest },
    ];
  });
  return [
    { code: LOAD, value: NUMBER },
    ...when(table.socket, allowArguments(ALLOWED_FAMILIES, FIRST_CHECKED_FAMILY)),
    ...when(table.personality, allowArguments(ALLOWED_PERSONALITIES)),
    ...when(table.clone, clone),
    ...when(CLONE3, [answer(errno(ENOSYS))]),
    { code: JUMP_GREATER, value: Math.max(highest, LAST_KNOWN), ifFalse: 1 },
    answer(errno(ENOSYS)),
    ...checks,
    answer(errno(EPERM)),
    answer(ALLOW),
  ];
}

/** The filter as the kernel's `struct sock_filter[]`; undefined for architectures without a table here. */
export function defaultSeccompFilter(architecture: string): Buffer | undefined {
  const tables = BY_ARCHITECTURE[architecture];
  if (tables === undefined) return undefined;
  const program: Instruction[] = [];
  for (const table of tables) {
    const body = tableProgram(table);
    // A conditional jump reaches 255 instructions; the way past a whole table is an unconditional one.
    program.push({ code: LOAD, value: ARCHITECTURE }, { code: JUMP_EQUAL, value: table.audit, ifTrue: 1 });
    program.push({ code: 0x05, value: body.length }, ...body);
  }
  program.push(answer(errno(ENOSYS)));
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(({ code, value, ifTrue = 0, ifFalse = 0 }, index) => {
    if (ifTrue > 255 || ifFalse > 255) throw new RangeError('seccomp: a jump is too far');
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(ifTrue, index * 8 + 2);
    bytes.writeUInt8(ifFalse, index * 8 + 3);
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4);
  });
  return bytes;
}
