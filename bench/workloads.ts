/** The seven workloads of the race, made by a deterministic generator: the same bytes on every machine. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Workload {
  readonly name: string;
  readonly what: string;
  /** Base image: the tiny busybox one, or a whole Debian. */
  readonly base: 'busybox' | 'debian';
  /** Writes the context into an empty directory. */
  readonly make: (directory: string) => void;
}

/** A small random generator (xorshift32), so that files do not compress to nothing and never change. */
export function randomBytes(seed: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = seed || 1;
  for (let at = 0; at < size; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    // Half of the values repeat, as text and code do.
    const value = (state & 1) === 0 ? state & 0x0f0f0f0f : state;
    for (let i = 0; i < 4 && at + i < size; i++) bytes[at + i] = (value >>> (8 * i)) & 0xff;
  }
  return bytes;
}

function dockerfile(directory: string, lines: readonly string[]): void {
  writeFileSync(join(directory, 'Dockerfile'), `${['ARG BASE', ...lines].join('\n')}\n`);
}

function files(
  directory: string,
  { count, folders, size }: { count: number; folders: number; size: number },
): void {
  for (let index = 0; index < count; index++) {
    const folder = join(directory, `d${index % folders}`, `s${index % 7}`);
    mkdirSync(folder, { recursive: true });
    // Sizes from a quarter to seven quarters of the mean.
    const length = Math.floor(((size * (1 + 6 * ((index * 2654435761) % 1000))) / 1000 + size) / 4);
    writeFileSync(join(folder, `f${index}.txt`), randomBytes(index + 1, length));
  }
}

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'small',
    what: '2 RUN + 1 COPY',
    base: 'busybox',
    make: (directory) => {
      writeFileSync(join(directory, 'hello.txt'), 'hello\n');
      dockerfile(directory, [
        'FROM $BASE',
        'RUN echo one > /one',
        'COPY hello.txt /hello.txt',
        'RUN cat /hello.txt > /two',
      ]);
    },
  },
  {
    name: 'runs30',
    what: '30 trivial RUN',
    base: 'busybox',
    make: (directory) => {
      const runs = Array.from({ length: 30 }, (_, index) => `RUN echo ${index} > /file${index}`);
      dockerfile(directory, ['FROM $BASE', ...runs]);
    },
  },
  {
    name: 'parallel',
    what: '4 stages of sleep 1',
    base: 'busybox',
    make: (directory) => {
      const stages = [1, 2, 3, 4].flatMap((n) => [
        `FROM $BASE AS s${n}`,
        `RUN sleep 1 && echo ${n} > /out${n}`,
      ]);
      const copies = [1, 2, 3, 4].map((n) => `COPY --from=s${n} /out${n} /out${n}`);
      dockerfile(directory, [...stages, 'FROM $BASE', ...copies]);
    },
  },
  {
    name: 'files20k',
    what: 'COPY 20,000 files, 127 MB',
    base: 'busybox',
    make: (directory) => {
      files(join(directory, 'src'), { count: 20_000, folders: 100, size: 6_350 });
      dockerfile(directory, ['FROM $BASE', 'COPY src /src']);
    },
  },
  {
    name: 'bigfile',
    what: 'COPY one 256 MB file',
    base: 'busybox',
    make: (directory) => {
      writeFileSync(join(directory, 'big.bin'), randomBytes(7, 256 << 20));
      dockerfile(directory, ['FROM $BASE', 'COPY big.bin /big.bin']);
    },
  },
  {
    name: 'usrcopy',
    what: 'RUN cp -a /usr /opt/usr on Debian',
    base: 'debian',
    make: (directory) => dockerfile(directory, ['FROM $BASE', 'RUN cp -a /usr /opt/usr']),
  },
  {
    name: 'app',
    what: 'multi-stage, 2,200 files',
    base: 'debian',
    make: (directory) => {
      files(join(directory, 'src'), { count: 2_000, folders: 40, size: 4_000 });
      files(join(directory, 'assets'), { count: 200, folders: 10, size: 60_000 });
      dockerfile(directory, [
        'FROM $BASE AS build',
        'WORKDIR /src',
        'COPY src ./',
        'RUN find . -type f | sort | xargs cat | sha256sum > /app.sum && mkdir /out && cp -r . /out/code',
        'FROM $BASE AS assets',
        'COPY assets /assets',
        'RUN tar -cf /assets.tar -C /assets .',
        'FROM $BASE',
        'RUN useradd app',
        'COPY --from=build /out/code /app',
        'COPY --from=build /app.sum /app.sum',
        'COPY --from=assets --chown=app /assets.tar /app/assets.tar',
        'USER app',
        'CMD ["cat", "/app.sum"]',
      ]);
    },
  },
];
