/**
 * npm run soak [-- RUNS]: builds a package-heavy Dockerfile many times (300) without cache. The last RUN writes down
 * every file it sees; the image, unpacked by umoci, must hold exactly that. Ends with 1 at the first difference.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const RUNS = Number(process.argv[2] ?? 300);

/** Lists a tree: kind, mode, owner, link target, and for files time and SHA-256. What the runtime mounts is left out. */
const LISTING = `cd "$1" || exit 1
list() {
  find . -xdev '(' -path ./proc -o -path ./sys -o -path ./dev -o -path ./listing -o -path ./listing.sh \\
    -o -path ./etc/hosts -o -path ./etc/hostname -o -path ./etc/resolv.conf ')' -prune -o "$@"
}
{
  list -mindepth 1 -printf '%P %y %m %U:%G %l\\n'
  list -type f -printf '%P mtime %Ts\\n'
  list -type f -exec sha256sum '{}' +
} | sed 's/\\.[0-9]*$//' | LC_ALL=C sort
`;

const DOCKERFILE = `ARG BASE
FROM $BASE
RUN apt-get update && apt-get install -y --no-install-recommends perl python3-minimal less file
RUN for i in 1 2 3; do echo $i > /same-second; done && rm -rf /usr/share/doc && mkdir /usr/share/doc && touch /usr/share/doc/new
RUN ln /usr/bin/perl /usr/bin/perl-link && mv /usr/share/man /usr/share/man2 && rm -f /etc/motd && mkdir -p /etc/motd/dir
RUN apt-get purge -y file && dpkg --configure -a && useradd -m worker && chown -R worker: /home/worker
COPY listing.sh /listing.sh
RUN sh /listing.sh / > /listing
`;

function debianBase(): string {
  const given = process.env['BENCH_DEBIAN'];
  if (given !== undefined) return given;
  const found = spawnSync('sh', ['-c', 'ls -d /var/cache/kiln-test/debian-* | tail -1'], {
    encoding: 'utf8',
  });
  if (found.stdout.trim() === '') throw new Error('No Debian base: run the tests once, or set BENCH_DEBIAN.');
  return found.stdout.trim();
}

/** One build; returns the lines that differ between what the RUN saw and what the image holds. */
function build(directory: string, context: string): string[] {
  const layout = join(directory, 'layout');
  const bundle = join(directory, 'bundle');
  rmSync(layout, { recursive: true, force: true });
  rmSync(bundle, { recursive: true, force: true });
  const env = { ...process.env, KILN_HOME: join(directory, 'home') };
  const output = `type=oci,tar=false,dest=${layout},name=soak:1`;
  const args = [
    'build',
    '-q',
    '--no-cache',
    '--build-arg',
    `BASE=oci:${debianBase()}`,
    '--output',
    output,
    context,
  ];
  execFileSync(join('bin', 'kiln'), args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  execFileSync('umoci', ['unpack', '--image', `${layout}:1`, bundle], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const rootfs = join(bundle, 'rootfs');
  const seen = readFileSync(join(rootfs, 'listing'), 'utf8').split('\n');
  const script = join(context, 'listing.sh');
  const held = execFileSync('sh', [script, rootfs], { encoding: 'utf8', maxBuffer: 1 << 28 }).split('\n');
  const [before, after] = [new Set(seen), new Set(held)];
  return [
    ...seen.filter((line) => !after.has(line)).map((line) => `- ${line}`),
    ...held.filter((line) => !before.has(line)).map((line) => `+ ${line}`),
  ];
}

function main(): number {
  const directory = mkdtempSync('/tmp/kiln-soak-');
  try {
    const context = join(directory, 'context');
    execFileSync('mkdir', [context]);
    writeFileSync(join(context, 'listing.sh'), LISTING);
    writeFileSync(join(context, 'Dockerfile'), DOCKERFILE);
    for (let run = 1; run <= RUNS; run++) {
      const differences = build(directory, context);
      if (differences.length > 0) {
        console.log(
          `build ${run}: ${differences.length} differences\n${differences.slice(0, 40).join('\n')}`,
        );
        return 1;
      }
      if (run % 10 === 0 || run === RUNS) console.log(`${run} builds, 0 differences`);
      // Old layers would fill the disk; the store begins anew every tenth build.
      if (run % 10 === 0) rmSync(join(directory, 'home'), { recursive: true, force: true });
    }
    return 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

process.exitCode = main();
