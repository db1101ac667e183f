/** Flags that stand in several commands, each declared once. */
import * as Flags from '@oclif/core/flags';

/** A flag that may be given several times, one value each. */
export const repeatable = { multiple: true, multipleNonGreedy: true } as const;

/** The flag of a command that lists things. */
export function formatFlag() {
  return Flags.string({
    description: 'json (one object a line), table, "table TEMPLATE", or a Go template',
    helpValue: 'FORMAT',
  });
}

/** What is written over the config of an image that is not built. */
export function changeFlag() {
  return Flags.string({
    char: 'c',
    description: 'Dockerfile instruction for the config, such as CMD or ENV',
    helpValue: 'INSTRUCTION',
    ...repeatable,
  });
}

/** How what is run is kept apart; `what` as the help says it: "how RUN steps are". */
export function isolationFlag(what: string) {
  return Flags.string({
    description: `${what} isolated`,
    options: ['auto', 'oci', 'chroot'],
    default: 'auto',
  });
}

export function snapshotterFlag() {
  return Flags.string({
    description: 'how layers are stacked',
    options: ['auto', 'overlay', 'fuse-overlayfs', 'copy'],
    default: 'auto',
  });
}

/** The flag of a command that tells how far it is. */
export function progressFlag() {
  return Flags.string({
    description: 'how to show progress',
    options: ['auto', 'tty', 'plain', 'json', 'quiet'],
    default: 'auto',
  });
}
