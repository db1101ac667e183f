import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';
import { run } from '../setup/run.ts';
import { serveGit } from './servers.ts';

/** Runs a shell script that makes bare repositories DIRECTORY/NAME.git; gives back what it prints, by lines. */
function repositories(directory: string, script: string): string[] {
  const prelude = `
    cd "$1"; export HOME="$1" GIT_AUTHOR_DATE=2024-01-02T03:04:05Z GIT_COMMITTER_DATE=2024-01-02T03:04:05Z
    export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=n@example.com GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=n@example.com
    begin() { git init -q -b main "$1" && cd "$1"; }
    commit() { git add -A && git commit -qm "$1" && git rev-parse HEAD; }
    publish() { name="$(basename "$PWD")"; cd .. && git clone -q --bare "$name" "$name.git"; rm -rf "$name"; chmod -R a+rX "$name.git"; }
    link() { # PATH URL COMMIT
      printf '[submodule "%s"]\\n\\tpath = %s\\n\\turl = %s\\n' "$1" "$1" "$2" >> .gitmodules
      git update-index --add --cacheinfo "160000,$3,$1"
    }
    end() { git add .gitmodules; git commit -qm submodules; git rev-parse HEAD; publish; }
  `;
  return run('sh', ['-euc', `${prelude}\n${script}`, 'sh', directory])
    .trim()
    .split('\n');
}

/** deep.git in sub.git in super.git, by addresses relative to one another; sub.git has moved on since. */
const NESTED = `
  begin deep; echo deep > f; deep=$(commit one); publish
  begin sub; echo sub > f; link inner ../deep.git $deep; git add f; git add .gitmodules; git commit -qm one
  sub=$(git rev-parse HEAD); git tag keep; echo later > f; commit two > /dev/null; publish
  begin super; echo super > f; git add f; link lib/sub ../sub.git $sub; end
`;

describe.each([ROOTLESS, VARIANTS[2]])('submodules as $user', (variant) => {
  test('all the way down, at their commits, by relative addresses; none with submodules=false', async () => {
    const work = new Workspace(variant);
    repositories(work.directory, NESTED);
    const { url } = await serveGit(work.directory);
    const { image } = await work.build(`FROM scratch
      ADD ${url}/super.git /all/
      ADD ${url}/super.git?submodules=false /none/
      ADD ${url}/super.git#main:lib/sub /part/
    `);
    expect(image.text('all/f')).toBe('super\n');
    expect(image.text('all/lib/sub/f')).toBe('sub\n');
    expect(image.text('all/lib/sub/inner/f')).toBe('deep\n');
    expect(image.text('part/inner/f')).toBe('deep\n');
    expect(image.tree.get('all/lib/sub/f')).toMatchObject({ mode: '644', mtime: 1704164645 });
    expect([...image.tree.keys()].filter((path) => path.includes('.git/') || path.endsWith('.git'))).toEqual(
      [],
    );
    expect(image.tree.get('none/lib/sub')?.type).toBe('directory');
    expect(image.tree.has('none/lib/sub/f')).toBe(false);
  });
});

describe('submodules', () => {
  test('a login goes to their server too, and to no other; none stays in a kept .git directory', async () => {
    const work = new Workspace();
    const other = new Workspace();
    const [commit = ''] = repositories(other.directory, 'begin far; echo far > f; commit one; publish');
    const far = await serveGit(other.directory);
    const both = `link far ${far.url}/far.git ${commit}; link lib/sub`;
    repositories(work.directory, NESTED.replace('link lib/sub', both));
    const near = await serveGit(work.directory, 'x-access-token:hunter2');
    const bySecret = await work.build(`FROM scratch\nADD ${near.url}/super.git /src/\n`, {
      args: ['--secret', 'id=GIT_AUTH_TOKEN,env=TOKEN'],
      env: { TOKEN: 'hunter2' },
    });
    expect(bySecret.image.text('src/lib/sub/inner/f')).toBe('deep\n');
    expect(bySecret.image.text('src/far/f')).toBe('far\n');
    expect([...far.logins]).toEqual(['']);
    const address = near.url.replace('://', '://x-access-token:hunter2@');
    const { image, result } = await work.build(
      `FROM scratch\nADD --keep-git-dir=true ${address}/super.git /src/\n`,
    );
    expect(image.text('src/lib/sub/inner/f')).toBe('deep\n');
    expect(result.stderr.replaceAll(/ADD .*/g, '')).not.toContain('hunter2');
    const found = run('sh', ['-c', 'grep -rl hunter2 "$1" || true', 'sh', `${image.root}/src`]);
    expect(found).toBe('');
    expect(image.text('src/.git/config')).toContain(`url = ${near.url}/super.git`);
  });

  test('one that is a directory of this machine is refused', async () => {
    const work = new Workspace();
    repositories(
      work.directory,
      'begin local; echo 1 > f; local=$(commit one); publish; begin super; link in "file://$1/local.git" $local; end',
    );
    const { url } = await serveGit(work.directory);
    const { exitCode, stderr } = await work.tryBuild(`FROM scratch\nADD ${url}/super.git /src/\n`);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/git submodule failed .*\[COPY_GIT\]/);
    expect(stderr).toContain("transport 'file' not allowed");
  });
});

describe('refs', () => {
  const REPOSITORY = `
    begin r; mkdir d; echo 1 > f; echo d > d/f; commit one; git tag light; echo 2 > f; commit two; echo 3 > f; commit three
    git tag -a full -m full; git rev-parse full; git branch both HEAD~1; git tag both HEAD
    git update-ref refs/pull/7/head HEAD~1; publish; git -C r.git update-ref refs/pull/7/head HEAD~1
  `;

  test('tags, light and annotated; branches before tags; any other ref; a checksum of a tag or its commit', async () => {
    const work = new Workspace();
    const [, , third = '', tag = ''] = repositories(work.directory, REPOSITORY);
    const { url } = await serveGit(work.directory);
    const addresses = {
      light: ['#light', '1'],
      full: ['#full', '3'],
      'tag-query': ['?tag=full', '3'],
      branch: ['#both', '2'],
      'not-branch': ['?tag=both', '3'],
      pull: ['#refs/pull/7/head', '2'],
      'pull-short': ['?ref=pull/7/head', '2'],
      commit: [`?commit=${third}`, '3'],
      'commit-tag': [`?tag=full&checksum=${third.slice(0, 12)}`, '3'],
      'object-tag': [`?tag=full&checksum=${tag}`, '3'],
    };
    const adds = Object.entries(addresses).map(([name, [rest]]) => `ADD ${url}/r.git${rest} /${name}/`);
    const { image } = await work.build(`FROM scratch\n${adds.join('\n')}\n`);
    for (const [name, [, text]] of Object.entries(addresses)) {
      expect(image.text(`${name}/f`), name).toBe(`${text}\n`);
    }
  });

  test('a kept .git directory knows the tag; another ref of the same commit is another directory', async () => {
    const work = new Workspace();
    repositories(work.directory, REPOSITORY);
    const { url } = await serveGit(work.directory);
    const { image } = await work.build(`FROM scratch
      ADD ${url}/r.git?tag=full&keep-git-dir /tag/
      ADD ${url}/r.git?branch=main&keep-git-dir=1 /branch/
      ADD --keep-git-dir=false ${url}/r.git?keep-git-dir /none/
    `);
    const described = (name: string, ...args: string[]): string =>
      run('git', ['-c', 'safe.directory=*', '-C', `${image.root}/${name}`, ...args]).trim();
    expect(described('tag', 'describe')).toBe('full');
    expect(described('tag', 'status', '--porcelain')).toBe('');
    expect(described('branch', 'for-each-ref', '--format=%(refname)')).toContain('refs/heads/main');
    expect(image.tree.has('none/.git')).toBe(false);
    const other = await work.build(`FROM scratch\nADD --keep-git-dir ${url}/r.git?tag=full /a/\n`);
    const same = await work.build(`FROM scratch\nADD --keep-git-dir ${url}/r.git?branch=main /a/\n`);
    expect(other.image.tree.has('a/.git/refs/tags/full')).toBe(true);
    expect(same.image.tree.has('a/.git/refs/tags/full')).toBe(false);
  });

  test('a commit that the server does not give out by name comes with the branches', async () => {
    const work = new Workspace();
    const [, second = ''] = repositories(
      work.directory,
      'begin r; echo 1 > f; commit one; echo 2 > f; commit two; echo 3 > f; commit three; publish',
    );
    const { url } = await serveGit(work.directory, undefined, { oldProtocol: true });
    // A program that talks to a server of this process must not make it wait.
    const refused = await promisify(execFile)('sh', [
      '-c',
      'git init -q "$1/try" && git -C "$1/try" fetch -q --depth=1 "$2" "$3" 2>&1 || true',
      ...['sh', work.directory, `${url}/r.git`, second],
    ]);
    expect(refused.stdout).toContain('unadvertised object');
    const { image } = await work.build(`FROM scratch\nADD ${url}/r.git#${second} /src/\n`);
    expect(image.text('src/f')).toBe('2\n');
  });

  test('what is not there is told: a ref, a directory, a commit, a checksum that does not fit or is none', async () => {
    const work = new Workspace();
    const [first = ''] = repositories(work.directory, REPOSITORY);
    const { url } = await serveGit(work.directory);
    const say = async (rest: string): Promise<string> => {
      const { exitCode, stderr } = await work.tryBuild(`FROM scratch\nADD ${url}/r.git${rest} /src/\n`);
      expect(exitCode, stderr).toBe(1);
      return stderr;
    };
    expect(await say('?branch=light')).toContain('does not contain ref refs/heads/light [COPY_GIT]');
    expect(await say('?subdir=f')).toContain('has no directory f');
    expect(await say('?subdir=../x')).toContain('invalid directory in a git repository: ../x');
    expect(await say(`#${'0123456789'.repeat(4)}`)).toMatch(/git \S+ failed for .*0123456789/s);
    expect(await say(`?tag=light&checksum=${first.replaceAll(/./g, 'a')}`)).toContain('[COPY_CHECKSUM]');
    expect(await say('?tag=full&checksum=0123')).toMatch(
      /expected checksum to match 0123, got \w{40} or \w{40} /,
    );
    expect(await say('?tag=light&checksum=nonsense')).toContain('expected hex commit hash [COPY_GIT]');
    expect(await say(`?commit=${first.slice(0, 7)}`)).toContain('a commit must be given with all its digits');
  });
});

test('files are as they are in the repository, whatever the user’s git would make of them', async () => {
  const work = new Workspace();
  repositories(
    work.directory,
    `begin r; echo '*.bin filter=lfs diff=lfs merge=lfs -text' > .gitattributes
     printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:0\\nsize 1\\n' > big.bin
     printf 'a\\nb\\n' > text; git -c filter.lfs.clean=cat add -A; git commit -qm one; publish`,
  );
  const { url } = await serveGit(work.directory);
  work.shell('mkdir ../user && chmod 755 ../user');
  writeFileSync(
    `${work.directory}/user/.gitconfig`,
    '[filter "lfs"]\n\tsmudge = tr a-z A-Z\n\tprocess = false\n\trequired = true\n[core]\n\tautocrlf = true\n\thooksPath = /nowhere\n',
  );
  const { image } = await work.build(`FROM scratch\nADD ${url}/r.git /src/\n`, {
    env: { HOME: `${work.directory}/user` },
  });
  expect(image.text('src/big.bin')).toBe(
    'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
  );
  expect(image.text('src/text')).toBe('a\nb\n');
});

test('a repository that names its objects by sha256', async () => {
  const work = new Workspace();
  const [commit = ''] = repositories(
    work.directory,
    'git init -q -b main --object-format=sha256 r; cd r; echo 1 > f; commit one; publish',
  );
  const { url } = await serveGit(work.directory);
  expect(commit).toHaveLength(64);
  const { image } = await work.build(`FROM scratch\nADD ${url}/r.git /a/\nADD ${url}/r.git#${commit} /b/\n`);
  expect([image.text('a/f'), image.text('b/f')]).toEqual(['1\n', '1\n']);
});
