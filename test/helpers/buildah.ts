/** The same build by Debian's buildah, as root, to compare with. */
import { join } from 'node:path';
import { run } from '../setup/run.ts';
import { OciImage } from './oci-image.ts';

export interface BuildahOptions {
  readonly dockerfile: string;
  readonly context: string;
  /** A directory for its storage and the result; the caller removes it. */
  readonly scratch: string;
  readonly buildArgs?: Readonly<Record<string, string>>;
}

export function buildWithBuildah({ dockerfile, context, scratch, buildArgs = {} }: BuildahOptions): OciImage {
  const storage = [
    '--root',
    join(scratch, 'storage'),
    '--runroot',
    join(scratch, 'run'),
    '--storage-driver',
    'vfs',
  ];
  const args = Object.entries(buildArgs).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
  const env = { TMPDIR: '/tmp' };
  run(
    'buildah',
    [
      ...storage,
      'build',
      '--isolation',
      'chroot',
      '--layers=false',
      '-t',
      'peer',
      ...args,
      '-f',
      dockerfile,
      context,
    ],
    { env },
  );
  const layout = join(scratch, 'layout');
  run('buildah', [...storage, 'push', '--quiet', 'peer', `oci:${layout}:peer`], { env });
  return OciImage.fromLayout(layout, join(scratch, 'image'));
}
