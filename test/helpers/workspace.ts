/** A directory of one test: a context, a store, outputs, for one user. Gone when the test ends, if nothing is left in it. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, lchownSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { run } from '../setup/run.ts';
import { busyboxBase } from './bases.ts';
import { expectNoLeftovers } from './no-leftovers.ts';
import { OciImage } from './oci-image.ts';
import { accountOf, type KilnResult, type RunKilnOptions, runKiln, type User } from './run-kiln.ts';

export type Snapshotter = 'overlay' | 'fuse-overlayfs';

export interface Variant {
  readonly user: User;
  readonly snapshotter: Snapshotter;
}

/** Who builds, and over which file system: each feature holds for all of them. */
export const VARIANTS: readonly Variant[] = [
  { user: 'kilntest', snapshotter: 'overlay' },
  { user: 'kilntest', snapshotter: 'fuse-overlayfs' },
  { user: 'root', snapshotter: 'overlay' },
  { user: 'root', snapshotter: 'fuse-overlayfs' },
];

/** The everyday case, for what has nothing to do with users or snapshots. */
export const ROOTLESS: Variant = { user: 'kilntest', snapshotter: 'overlay' };

export type KilnOptions = Partial<Omit<RunKilnOptions, 'user' | 'home'>>;

export interface BuildOptions extends KilnOptions {
  /** Further words of the command line, before the context. */
  readonly args?: readonly string[];
  readonly buildArgs?: Readonly<Record<string, string>>;
  /** `FROM $BASE` in the Dockerfile; busybox unless said. */
  readonly base?: string;
}

export interface Built {
  readonly image: OciImage;
  readonly result: KilnResult;
}

export class Workspace {
  readonly variant: Variant;
  readonly directory: string;
  readonly context: string;
  readonly home: string;
  #count = 0;

  constructor(variant: Variant = ROOTLESS) {
    this.variant = variant;
    // Lower case: podman makes an image name of a layout's path.
    this.directory = join(tmpdir(), `kiln-test-${randomBytes(6).toString('hex')}`);
    mkdirSync(this.directory);
    this.context = join(this.directory, 'context');
    this.home = join(this.directory, 'home');
    chmodSync(this.directory, 0o755);
    mkdirSync(this.context);
    this.#own(this.directory);
    this.#own(this.context);
    onTestFinished(async () => {
      try {
        await expectNoLeftovers(this.directory, this.home);
      } finally {
        // umount first: removing through a mount would remove what is below it.
        run('sh', [
          '-c',
          'grep -F " $1/" /proc/self/mounts | cut -d " " -f 2 | xargs -r umount -l; rm -rf "$1"',
          'sh',
          this.directory,
        ]);
      }
    });
  }

  /** Writes a file of the context; directories are made. */
  write(path: string, content: string | Buffer = '', mode = 0o644): string {
    const target = join(this.context, path);
    this.#makeDirectories(dirname(target));
    writeFileSync(target, content);
    chmodSync(target, mode);
    this.#own(target);
    return target;
  }

  writeAll(files: Readonly<Record<string, string>>): void {
    for (const [path, content] of Object.entries(files)) this.write(path, content);
  }

  /** Runs a shell command in the context, as root, then gives everything new to the user: for links, fifos and the like. */
  shell(script: string): string {
    const said = run('sh', ['-euc', script], { cwd: this.context });
    const { uid, gid } = accountOf(this.variant.user);
    run('chown', ['-hR', `${uid}:${gid}`, this.context]);
    return said;
  }

  /** A path in the workspace that no earlier call gave. */
  fresh(name: string): string {
    this.#count += 1;
    return join(this.directory, `${name}-${this.#count}`);
  }

  kiln(args: readonly string[], options: KilnOptions = {}): Promise<KilnResult> {
    return runKiln(args, { cwd: this.context, ...options, user: this.variant.user, home: this.home });
  }

  /** The command line of a build in this workspace. */
  buildCommand(dockerfile: string, options: BuildOptions = {}): string[] {
    const file = this.fresh('Dockerfile');
    writeFileSync(file, dockerfile);
    this.#own(file);
    const buildArgs = { BASE: options.base ?? busyboxBase(), ...options.buildArgs };
    const declared = Object.entries(buildArgs).filter(
      ([name]) => name !== 'BASE' || /\bBASE\b/.test(dockerfile),
    );
    return [
      'build',
      '--progress=plain',
      `--snapshotter=${this.variant.snapshotter}`,
      ...declared.flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
      '-f',
      file,
      ...(options.args ?? []),
      this.context,
    ];
  }

  /** Builds and returns what kiln said, whether it failed or not. */
  tryBuild(dockerfile: string, options: BuildOptions = {}): Promise<KilnResult> {
    return this.kiln(this.buildCommand(dockerfile, options), options);
  }

  /** Builds into an OCI layout directory and opens it. Fails with kiln's own words. */
  async build(dockerfile: string, options: BuildOptions = {}): Promise<Built> {
    const layout = this.fresh('layout');
    const args = ['--output', `type=oci,tar=false,dest=${layout}`, ...(options.args ?? [])];
    const result = await this.tryBuild(dockerfile, { ...options, args });
    if (result.exitCode !== 0) throw new Error(`kiln build: exit ${result.exitCode}\n${result.stderr}`);
    return { image: this.open(`oci:${layout}`), result };
  }

  open(source: string, options: readonly string[] = []): OciImage {
    return OciImage.open(source, this.fresh('opened'), options);
  }

  #own(path: string): void {
    const { uid, gid } = accountOf(this.variant.user);
    lchownSync(path, uid, gid);
  }

  #makeDirectories(path: string): void {
    if (existsSync(path)) return;
    this.#makeDirectories(dirname(path));
    mkdirSync(path);
    chmodSync(path, 0o755);
    this.#own(path);
  }
}
