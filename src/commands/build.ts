import { lstatSync, rmSync, writeFileSync } from 'node:fs';
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { BuildResult } from '../actions/build-request.ts';
import { BuildScratch } from '../actions/build-scratch.ts';
import type { KeepStorage } from '../actions/prune-store.ts';
import type { RunBuildOptions } from '../actions/run-build.ts';
import { formatPlatform } from '../image/platform.ts';
import { isToStandardOutput } from '../output/output-spec.ts';
import { failureEvent } from '../progress/error-report.ts';
import { createEmitter, createReporter, type ProgressMode, resolveMode } from '../progress/reporter.ts';
import { monotonicMs } from '../system/monotonic.ts';
import { toBuildRequest } from './build-options.ts';
import { keepStorage } from './flag-values.ts';
import { KilnCommand } from './kiln-command.ts';
import { runCheck } from './run-check.ts';
import { isolationFlag, progressFlag, repeatable, snapshotterFlag } from './shared-flags.ts';

export default class Build extends KilnCommand {
  static override description = 'Build an image from a Dockerfile.';

  static override examples = [
    '<%= config.bin %> build -t app .',
    '<%= config.bin %> build -t registry.example.com/team/app:1.0 --push .',
    '<%= config.bin %> build --target test --build-arg VERSION=1.0 .',
    '<%= config.bin %> build --output type=oci,dest=app.tar .',
  ];

  static override args = {
    context: Args.string({
      description:
        'files that COPY and ADD see: a directory, a git or http(s) address, or - for standard input',
      default: '.',
    }),
  };

  static override flags = {
    file: Flags.string({
      char: 'f',
      description: 'path of the Dockerfile (default CONTEXT/Dockerfile); - is standard input',
    }),
    tag: Flags.string({
      char: 't',
      description: 'name for the image: [REGISTRY/]REPOSITORY[:TAG]',
      ...repeatable,
    }),
    'build-arg': Flags.string({
      description: 'value for an ARG: NAME=VALUE, or NAME to take it from the environment',
      ...repeatable,
    }),
    'build-context': Flags.string({
      description:
        'a further context for FROM and --from: NAME=DIR, or docker-image://…, oci-layout://…, https://…, a git address',
      ...repeatable,
    }),
    target: Flags.string({ description: 'stage to build (default: the last)' }),
    platform: Flags.string({
      description: 'platforms to build for, such as linux/arm64; several give an image index',
      ...repeatable,
    }),
    output: Flags.string({
      char: 'o',
      description:
        'where the result goes: type=image|registry|oci|docker|tar|local,dest=PATH,… (default: the local store)',
      ...repeatable,
    }),
    push: Flags.boolean({ description: 'push the image to its names’ registries' }),
    load: Flags.boolean({ description: 'put the image in the local store too, beside other outputs' }),
    'no-cache': Flags.boolean({ description: 'run every step, whatever the cache has' }),
    'no-cache-filter': Flags.string({ description: 'run every step of these stages', ...repeatable }),
    explain: Flags.boolean({
      description: 'say of each step what the cache said, and for a miss what differs from an earlier build',
    }),
    'cache-from': Flags.string({
      description:
        'take results of steps from elsewhere: an image reference, type=registry,ref=…, or type=local,src=DIR',
      ...repeatable,
    }),
    'cache-to': Flags.string({
      description:
        'save results of steps: type=registry,ref=…, type=local,dest=DIR, or type=inline; mode=max for all stages',
      ...repeatable,
    }),
    'cache-mount-from': Flags.string({
      description:
        'fill cache mounts that are empty here: type=registry,ref=… or type=local,src=DIR, with id=… for some only',
      ...repeatable,
    }),
    'cache-mount-to': Flags.string({
      description:
        'save the cache mounts that the build used: type=registry,ref=… or type=local,dest=DIR, id=…, max-size=…',
      ...repeatable,
    }),
    'verify-reproducible': Flags.boolean({
      description:
        'build twice without the cache, keep nothing, and say which files differ and which step made them',
    }),
    squash: Flags.boolean({ description: 'make one layer of all that the build adds to its base' }),
    check: Flags.boolean({ description: 'check the Dockerfile and build nothing (see kiln lint)' }),
    pull: Flags.boolean({ description: 'ask the registry for base images even when the store has them' }),
    network: Flags.string({
      description: 'network of RUN steps',
      options: ['host', 'none', 'private', 'default'],
      default: 'host',
    }),
    label: Flags.string({ description: 'label for the image: NAME=VALUE', ...repeatable }),
    annotation: Flags.string({ description: 'annotation for the manifest: NAME=VALUE', ...repeatable }),
    secret: Flags.string({
      description: 'secret for RUN --mount=type=secret: id=ID,src=FILE or id=ID,env=NAME',
      ...repeatable,
    }),
    ssh: Flags.string({
      description: 'ssh agent for RUN --mount=type=ssh and git over ssh: default, ID=SOCKET or ID=KEY[,KEY]',
      ...repeatable,
    }),
    'add-host': Flags.string({
      description: 'line for /etc/hosts of RUN steps: NAME:ADDRESS',
      ...repeatable,
    }),
    'shm-size': Flags.string({ description: 'size of /dev/shm in RUN steps, such as 128m', default: '64m' }),
    ulimit: Flags.string({ description: 'limit for RUN steps: NAME=SOFT[:HARD]', ...repeatable }),
    'source-date-epoch': Flags.string({
      description:
        'every time in the image: seconds since 1970, or context, or a --build-context or stage to take it from (default $SOURCE_DATE_EPOCH)',
      aliases: ['timestamp'],
    }),
    iidfile: Flags.string({ description: 'file to write the image ID to' }),
    'metadata-file': Flags.string({ description: 'file to write digests and names to, as JSON' }),
    progress: progressFlag(),
    quiet: Flags.boolean({ char: 'q', description: 'print the image ID only' }),
    verbose: Flags.boolean({
      char: 'v',
      description: 'also say which snapshotter and sandbox are used, and why',
    }),
    isolation: isolationFlag('how RUN steps are'),
    snapshotter: snapshotterFlag(),
    jobs: Flags.integer({ description: 'steps that may run at the same time', min: 1 }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Build);
    const { signal, killSignal } = this.interruption();
    if (flags.check) {
      const root = this.storeRoot(flags.root);
      process.exitCode = await runCheck(
        (scratch) => toBuildRequest(flags, { context: args.context, root, scratch, signal }),
        { format: 'text', root },
      );
      return;
    }
    // A stale one would be taken for that of a build that fails.
    const { iidfile } = flags;
    if (iidfile !== undefined && lstatSync(iidfile, { throwIfNoEntry: false })?.isFile()) rmSync(iidfile);
    const { env, stderr } = process;
    const mode: ProgressMode = flags.quiet ? 'quiet' : (flags.progress as ProgressMode);
    const reporter = createReporter({ mode, stream: stderr, isTTY: stderr.isTTY, env, now: monotonicMs });
    const emit = createEmitter({ reporter, now: monotonicMs });
    const began = monotonicMs();
    const root = this.storeRoot(flags.root);
    const keep = keepStorage(env['KILN_KEEP_STORAGE']);
    const scratch = new BuildScratch(root);
    try {
      const request = await toBuildRequest(flags, { context: args.context, root, scratch, signal });
      emit({
        type: 'build-started',
        dockerfile: request.dockerfile.path,
        ...(request.target === undefined ? {} : { target: request.target }),
        platform: request.targetPlatforms.map(formatPlatform).join(','),
      });
      const options: RunBuildOptions = {
        emit: (event) => {
          if (event.type !== 'note' || flags.verbose) emit(event);
        },
        signal,
        killSignal,
        clock: () => Date.now(),
        stdout: process.stdout,
        scratch,
      };
      if (flags['verify-reproducible']) {
        const { verifyReproducible } = await import('../actions/verify-reproducible.ts');
        const { report, failure } = await verifyReproducible(request, options);
        reporter.close();
        process.stdout.write(report);
        if (failure !== undefined) throw failure;
        return;
      }
      const { runBuild } = await import('../actions/run-build.ts');
      const result = await runBuild(request, options);
      const { imageId, manifest, names, cached, steps } = result;
      emit({
        type: 'build-finished',
        imageId,
        ...(manifest === undefined ? {} : { manifest: manifest.digest }),
        names,
        duration: monotonicMs() - began,
        cached,
        steps,
      });
      reporter.close();
      this.#report(result, { ...flags, hasStdout: request.outputs.some(isToStandardOutput) });
      // A build that made nothing does not make the store grow.
      if (cached < steps) await this.#trim(root, { keep, verbose: flags.verbose, signal, killSignal });
    } catch (error) {
      const reason: unknown = signal.aborted ? signal.reason : error;
      emit(failureEvent(reason, monotonicMs() - began));
      reporter.close();
      const resolved = resolveMode(mode, { isTTY: stderr.isTTY, env });
      this.shown = { reported: resolved === 'json', output: resolved !== 'tty' };
      throw reason;
    } finally {
      scratch.close();
    }
  }

  /** Trims the build cache when that is due; the result is out already. */
  async #trim(
    root: string,
    options: { keep: KeepStorage; verbose: boolean; signal: AbortSignal; killSignal: AbortSignal },
  ): Promise<void> {
    const { keep, verbose, ...signals } = options;
    const { trimStore } = await import('../actions/prune-store.ts');
    const report = await trimStore(root, { keep, now: Date.now() }, { env: process.env, ...signals });
    if (report === undefined || !verbose) return;
    const { formatSize } = await import('../format/units.ts');
    process.stderr.write(`trimmed the build cache by ${formatSize(report.reclaimed)} (KILN_KEEP_STORAGE)\n`);
  }

  /** Result files, and the image ID on standard output unless a tar went there. */
  #report(
    { imageId, manifest, names }: BuildResult,
    flags: {
      iidfile?: string | undefined;
      'metadata-file'?: string | undefined;
      /** An output was written to standard output. */
      hasStdout: boolean;
    },
  ): void {
    if (flags.iidfile !== undefined) writeFileSync(flags.iidfile, imageId);
    if (flags['metadata-file'] !== undefined) {
      const metadata = {
        'containerimage.config.digest': imageId,
        ...(manifest === undefined
          ? {}
          : { 'containerimage.descriptor': manifest, 'containerimage.digest': manifest.digest }),
        ...(names.length === 0 ? {} : { 'image.name': names.join(',') }),
      };
      writeFileSync(flags['metadata-file'], `${JSON.stringify(metadata, undefined, 2)}\n`);
    }
    if (!flags.hasStdout) process.stdout.write(`${imageId}\n`);
  }
}
