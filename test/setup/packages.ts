/** The programs that tests use, and the Debian package each is from. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  acl: ['setfacl', 'getfacl'],
  'apache2-utils': ['htpasswd'],
  attr: ['setfattr', 'getfattr'],
  buildah: ['buildah'],
  'busybox-static': ['busybox'],
  bzip2: ['bzip2'],
  crun: ['crun'],
  'debian-archive-keyring': ['/usr/share/keyrings/debian-archive-keyring.gpg'],
  'docker-registry': ['docker-registry'],
  'fuse-overlayfs': ['fuse-overlayfs'],
  git: ['git'],
  jq: ['jq'],
  'libcap2-bin': ['setcap', 'getcap'],
  mmdebstrap: ['mmdebstrap'],
  'oci-image-tool': ['oci-image-tool'],
  'openssh-client': ['ssh', 'ssh-agent', 'ssh-add', 'ssh-keygen'],
  'openssh-server': ['/usr/sbin/sshd'],
  openssl: ['openssl'],
  passt: ['pasta'],
  podman: ['podman'],
  procps: ['ps'],
  runc: ['runc'],
  skopeo: ['skopeo'],
  slirp4netns: ['slirp4netns'],
  strace: ['strace'],
  tmux: ['tmux'],
  uidmap: ['newuidmap', 'newgidmap'],
  umoci: ['umoci'],
  'util-linux': ['setpriv', 'flock', 'script'],
  'xz-utils': ['xz'],
  zstd: ['zstd'],
};

const DIRECTORIES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

function isInstalled(program: string): boolean {
  if (program.startsWith('/')) return existsSync(program);
  return DIRECTORIES.some((directory) => existsSync(join(directory, program)));
}

/** Debian packages of which a program is missing on this machine. */
export function missingPackages(): string[] {
  return Object.entries(PACKAGES)
    .filter(([, programs]) => !programs.every(isInstalled))
    .map(([name]) => name);
}
