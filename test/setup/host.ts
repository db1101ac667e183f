/** Makes the machine ready for tests: Debian packages, the unprivileged user, devices. Each only when missing. */
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { withLock } from './lock.ts';
import { missingPackages } from './packages.ts';
import { CACHE, TEST_USER } from './places.ts';
import { run } from './run.ts';

function say(message: string): void {
  process.stderr.write(`set-up: ${message}\n`);
}

function installPackages(): void {
  const missing = missingPackages();
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (!existsSync('/usr/bin/apt-get')) {
    throw new Error(`The tests need these Debian packages or their like: ${missing.join(' ')}.`);
  }
  say(command);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  try {
    run('apt-get', ['-qq', 'update'], { env });
    run('apt-get', ['-qq', 'install', '-y', '--no-install-recommends', ...missing], { env });
  } catch (cause) {
    throw new Error(`Packages that the tests need could not be installed. By hand: ${command}`, { cause });
  }
  const still = missingPackages();
  if (still.length > 0) throw new Error(`Installed, and yet programs are missing of: ${still.join(' ')}`);
}

function addUser(): void {
  if (!new RegExp(`^${TEST_USER}:`, 'm').test(readFileSync('/etc/passwd', 'utf8'))) {
    say(`adding the unprivileged user ${TEST_USER}`);
    run('useradd', ['--create-home', '--shell', '/bin/bash', TEST_USER]);
  }
  for (const [file, flag] of [
    ['/etc/subuid', '--add-subuids'],
    ['/etc/subgid', '--add-subgids'],
  ] as const) {
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
    if (lines.some((line) => line.startsWith(`${TEST_USER}:`))) continue;
    const ends = lines
      .map((line) => line.split(':').map(Number))
      .map(([, start = 0, count = 0]) => start + count);
    const start = Math.max(100_000, ...ends.filter(Number.isFinite));
    run('usermod', [flag, `${start}-${start + 65_535}`, TEST_USER]);
  }
}

/** Some machines keep these for root; a desktop or a runner has them open. */
function openDevices(): void {
  for (const device of ['/dev/fuse', '/dev/net/tun']) {
    if (!existsSync(device))
      throw new Error(`${device} is missing; load the kernel module (modprobe fuse tun).`);
    if ((statSync(device).mode & 0o666) !== 0o666) chmodSync(device, 0o666);
  }
}

export async function setup(): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Error(
      'The tests run as root: they add an unprivileged user and build as it. Run: sudo test/run.sh',
    );
  }
  mkdirSync(CACHE, { recursive: true, mode: 0o755 });
  accessSync(CACHE, constants.W_OK);
  await withLock(`${CACHE}/.lock`, () => {
    installPackages();
    addUser();
    openDevices();
  });
}
