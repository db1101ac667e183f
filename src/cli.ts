/** The command line: every command by name, run by oclif. */
import { execute } from '@oclif/core/execute';
import Build from './commands/build.ts';
import Df from './commands/df.ts';
import Doctor from './commands/doctor.ts';
import History from './commands/history.ts';
import Images from './commands/images.ts';
import Import from './commands/import.ts';
import Inspect from './commands/inspect.ts';
import Lint from './commands/lint.ts';
import Load from './commands/load.ts';
import Login from './commands/login.ts';
import Logout from './commands/logout.ts';
import Prune from './commands/prune.ts';
import Pull from './commands/pull.ts';
import Push from './commands/push.ts';
import Rmi from './commands/rmi.ts';
import Save from './commands/save.ts';
import Tag from './commands/tag.ts';
import { refuseUnknownCommand } from './commands/unknown-command.ts';

/** What oclif.manifest.json is made from (package.json, "oclif"). */
export const COMMANDS = {
  build: Build,
  df: Df,
  doctor: Doctor,
  history: History,
  images: Images,
  import: Import,
  inspect: Inspect,
  lint: Lint,
  load: Load,
  login: Login,
  logout: Logout,
  prune: Prune,
  pull: Pull,
  push: Push,
  rmi: Rmi,
  save: Save,
  tag: Tag,
};

/** Runs the command that the arguments name. */
export async function main(): Promise<unknown> {
  if (refuseUnknownCommand(process.argv.slice(2), Object.keys(COMMANDS))) return undefined;
  return execute({ dir: __dirname });
}
