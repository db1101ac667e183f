/** Base images and the program under test, made by test/setup/kiln.ts. */
import { inject } from 'vitest';

/** `oci:DIR:TAG` of a Debian root file system with apt; about 100 MB unpacked. */
export function debianBase(): string {
  return inject('debian');
}

/** `oci:DIR:TAG` of one static busybox, /etc/passwd and /tmp; for everything that needs no Debian. */
export function busyboxBase(): string {
  return inject('busybox');
}

/** The installed bin/kiln. */
export function kilnProgram(): string {
  return inject('kiln');
}
