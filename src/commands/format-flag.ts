/** --format, the same in every command that shows something. */
import * as Flags from '@oclif/core/flags';

/** The flag of a command that lists things. */
export function formatFlag() {
  return Flags.string({
    description: 'json (one object a line), table, "table TEMPLATE", or a Go template',
    helpValue: 'FORMAT',
  });
}
