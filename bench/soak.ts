/**
 * npm run soak -- --kill [INSTANTS]: kills kiln at random instants (200) of its work on a store, half of them as root,
 * half as the user of the tests, and looks whether the store is whole after each. KILN_SEED repeats a run.
 *
 * npm run soak [-- RUNS]: builds a package-heavy Dockerfile many times (300) without cache. The last RUN writes down
 * every file it sees; the image, unpacked by umoci, must hold exactly that. Ends with 1 at the first difference.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processesOf } from '../test/helpers/no-leftovers.ts';
import { startRegistry } from '../test/registry/registry-server.ts';
import { killAtRandom } from './kill-instants.ts';

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

/** Instants of kills as a user; 1 when something was wrong after one. */
async function killAs(user: string, instants: number): Promise<number> {
  const directory = mkdtempSync('/tmp/kiln-kill-');
  const registry = await startRegistry();
  try {
    const [home, context] = [join(directory, 'home'), join(directory, 'context')];
    execFileSync('mkdir', [home, context]);
    execFileSync('chmod', ['755', directory]);
    execFileSync('chown', [user, directory, home, context]);
    const base = 'oci:/var/cache/kiln-test/busybox';
    const remote = `${registry.host}/soak/base:1`;
    execFileSync('skopeo', [
      'copy',
      '-q',
      '--insecure-policy',
      '--dest-tls-verify=false',
      base,
      `docker://${remote}`,
    ]);
    const drop =
      user === 'root' ? [] : ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--init-groups', '--'];
    const start = (args: readonly string[]) => {
      const [program = '', ...words] = [...drop, join(process.cwd(), 'bin/kiln'), ...args];
      const env = { PATH: process.env['PATH'], HOME: directory, KILN_HOME: home };
      return spawn(program, words, { env, stdio: 'pipe' });
    };
    const running = (): string[] => processesOf(home);
    const seed = Number(process.env['KILN_SEED'] ?? Date.now() % 1e6);
    const log = (line: string): void => console.log(`${user}: ${line}`);
    const subject = { start, home, context, base, remote, running };
    const { killed, byCommand, wrong } = await killAtRandom(subject, { instants, seed, log });
    log(`${instants} instants (seed ${seed}), ${killed} in the middle of work: ${JSON.stringify(byCommand)}`);
    for (const line of wrong) log(`WRONG: ${line}`);
    return wrong.length === 0 ? 0 : 1;
  } finally {
    await registry.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

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

function buildMany(runs: number): number {
  const directory = mkdtempSync('/tmp/kiln-soak-');
  try {
    const context = join(directory, 'context');
    execFileSync('mkdir', [context]);
    writeFileSync(join(context, 'listing.sh'), LISTING);
    writeFileSync(join(context, 'Dockerfile'), DOCKERFILE);
    for (let run = 1; run <= runs; run++) {
      const differences = build(directory, context);
      if (differences.length > 0) {
        console.log(
          `build ${run}: ${differences.length} differences\n${differences.slice(0, 40).join('\n')}`,
        );
        return 1;
      }
      if (run % 10 === 0 || run === runs) console.log(`${run} builds, 0 differences`);
      // Old layers would fill the disk; the store begins anew every tenth build.
      if (run % 10 === 0) rmSync(join(directory, 'home'), { recursive: true, force: true });
    }
    return 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function main(): Promise<number> {
  const [first, second] = process.argv.slice(2);
  if (first !== '--kill') return buildMany(Number(first ?? 300));
  const half = Math.ceil(Number(second ?? 200) / 2);
  return Math.max(await killAs('root', half), await killAs('kilntest', half));
}

process.exitCode = await main();
