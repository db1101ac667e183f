/** Everything that a file can be, in a cache mount that goes to another machine and back. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accountOf } from '../helpers/run-kiln.ts';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';
import { type RegistryServer, startRegistry } from '../registry/registry-server.ts';
import { TEST_USER } from '../setup/places.ts';
import { run } from '../setup/run.ts';

let registry: RegistryServer;

beforeAll(async () => {
  registry = await startRegistry();
});

afterAll(async () => {
  await registry.stop();
});

const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };

/** Written and read from outside, as root: both stores are of one user, so that what is the same inside is the same here. */
const WRITE = `
import os, struct, sys
os.chdir(os.fsencode(sys.argv[1]))
base, root = int(sys.argv[2]), int(sys.argv[3])
def own(path, uid, gid): os.chown(path, base + uid, base + gid, follow_symlinks=False)
def put(path, content):
    with open(path, 'wb') as f: f.write(content)
os.mkdir(b'd')
put(b'd/f', b'kept\\n')
own(b'd/f', 7, 8)
own(b'd', 1000, 60000)
os.chmod(b'd/f', 0o4751)
os.chmod(b'd', 0o2751)
os.setxattr(b'd/f', b'user.note', bytes(range(256)))
os.setxattr(b'd/f', b'user.empty', b'')
os.setxattr(b'd', b'user.on-a-directory', b'x')
capability = [2, 0x2000, 0, 0, 0] if root == 0 else [3, 0x2000, 0, 0, 0, root]
capability[0] = capability[0] << 24 | 1
os.setxattr(b'd/f', b'security.capability', struct.pack('<%dI' % len(capability), *capability))
os.link(b'd/f', b'hard')
os.link(b'd/f', b'd/hard too')
os.symlink(b'nowhere/\\xff', b'd/link')
own(b'd/link', 9, 10)
for name in (b'\\xff\\xfe', b'new\\nline', b'back\\\\slash', b' lead', b'x' * 255):
    put(name, name)
with open(b'sparse', 'wb') as f:
    f.seek(50_000_000); f.write(b'end'); f.truncate(80_000_000)
os.mkfifo(b'fifo')
for name in os.listdir(b'.'):
    if name not in (b'd', b'hard'): own(name, 5, 6)
os.chmod(b'fifo', 0o604)
os.utime(b'd/f', ns=(1, 1577934245_123456789))
os.utime(b'd', ns=(1, 1500000000_000000000))
`;

const TELL = `
import hashlib, os, stat, sys
os.chdir(os.fsencode(sys.argv[1]))
def tell(path):
    s = os.lstat(path)
    names = sorted(n for n in os.listxattr(path, follow_symlinks=False) if n.startswith(('user.', 'security.cap')))
    extended = [(n, os.getxattr(path, n, follow_symlinks=False).hex()) for n in names]
    content = links = ''
    if stat.S_ISREG(s.st_mode):
        links = (s.st_nlink, s.st_size)
        content = hashlib.sha256(open(path, 'rb').read()).hexdigest()
    if stat.S_ISLNK(s.st_mode): content = os.readlink(path)
    print(path, oct(s.st_mode), s.st_uid, s.st_gid, links, content, extended, s.st_mtime_ns // 10**9)
for top, folders, files in os.walk(b'.'):
    for name in sorted(folders + files): tell(os.path.join(top, name))
print('one file', os.stat(b'hard').st_ino == os.stat(b'd/f').st_ino == os.stat(b'd/hard too').st_ino)
print('sparse', os.stat(b'sparse').st_blocks < 2000)
`;

test('a mount that no layer can hold is left out, the others are saved', async () => {
  const work = new Workspace(ROOTLESS);
  const local = work.fresh('mounts');
  const dockerfile = `ARG BASE
FROM $BASE
RUN --mount=type=cache,id=odd,target=/c echo x > /c/.wh.x
RUN --mount=type=cache,id=plain,target=/c echo x > /c/x
`;
  const { result } = await work.build(dockerfile, { args: ['--cache-mount-to', `type=local,dest=${local}`] });
  expect(result.stderr).toMatch(/WARNING: cache mount odd was not saved: \/\.wh\.x cannot be in a layer/);
  expect(result.stderr).toMatch(/\(1 mount\)/);
});

const use = (command: string) =>
  `ARG BASE\nFROM $BASE\nRUN --mount=type=cache,id=all,target=/c echo ${command} > /used\n`;

/** What is mounted, in the store of a workspace. */
function mountOf(work: Workspace): string {
  const mounts = join(work.home, 'mounts');
  const [name = ''] = readdirSync(mounts);
  return join(mounts, name, 'data');
}

function subordinateBase(): number {
  const entry = readFileSync('/etc/subuid', 'utf8')
    .split('\n')
    .find((line) => line.startsWith(`${TEST_USER}:`));
  return Number(entry?.split(':')[1]);
}

test.each([ROOTLESS, AS_ROOT])('as $user, by a registry and by a directory', async (variant) => {
  const work = new Workspace(variant);
  await work.build(use('first'));
  const rootless = variant.user === TEST_USER;
  // ID 1 of the container is the first subordinate one.
  const base = rootless ? subordinateBase() - 1 : 0;
  const owner = rootless ? accountOf(TEST_USER).uid : 0;
  run('python3', ['-c', WRITE, mountOf(work), `${base}`, `${owner}`]);
  const before = run('python3', ['-c', TELL, mountOf(work)]);
  expect(before).toContain('one file True\nsparse True\n');
  const local = work.fresh('mounts');
  const remote = `${registry.host}/mounts:${variant.user}`;
  const { result } = await work.build(use('second'), {
    args: ['--cache-mount-to', `type=local,dest=${local}`, '--cache-mount-to', remote],
  });
  expect(result.stderr).not.toMatch(/not (?:saved|exported)|WARNING: cache/);
  for (const from of [`type=local,src=${local}`, remote]) {
    const other = new Workspace(variant);
    const restored = await other.build(use('third'), { args: ['--cache-mount-from', from] });
    expect(restored.result.stderr).not.toMatch(/WARNING: cache/);
    expect(run('python3', ['-c', TELL, mountOf(other)])).toBe(before);
  }
});
