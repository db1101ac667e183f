/** The command line: every command by name, run by oclif. */
import { dirname } from 'node:path';
import { execute } from '@oclif/core/execute';
import type { PJSON } from '@oclif/core/interfaces';
import Build from './commands/build.ts';
import { commandConfig } from './commands/command-config.ts';
import Commit from './commands/commit.ts';
import Df from './commands/df.ts';
import Diff from './commands/diff.ts';
import Doctor from './commands/doctor.ts';
import Export from './commands/export.ts';
import { helpWords } from './commands/help-words.ts';
import History from './commands/history.ts';
import Images from './commands/images.ts';
import Import from './commands/import.ts';
import Inspect from './commands/inspect.ts';
import Lint from './commands/lint.ts';
import Load from './commands/load.ts';
import Login from './commands/login.ts';
import Logout from './commands/logout.ts';
import Prune from './commands/prune.ts';
import Ps from './commands/ps.ts';
import Pull from './commands/pull.ts';
import Push from './commands/push.ts';
import Rm from './commands/rm.ts';
import Rmi from './commands/rmi.ts';
import Run from './commands/run.ts';
import Save from './commands/save.ts';
import { type FlagShapes, splitCommand } from './commands/split-command.ts';
import Tag from './commands/tag.ts';
import { refuseUnknownCommand } from './commands/unknown-command.ts';

/** What package.json says of name, version and commands, as JSON; put in by the build. */
declare const KILN_PACKAGE: string;

/** What oclif.manifest.json is made from (package.json, "oclif"). */
export const COMMANDS = {
  build: Build,
  commit: Commit,
  diff: Diff,
  export: Export,
  ps: Ps,
  rm: Rm,
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
  run: Run,
  save: Save,
  tag: Tag,
};

type CommandName = keyof typeof COMMANDS;

/** Runs the command that the arguments name. */
export async function main(): Promise<unknown> {
  const given = markCommand(process.argv.slice(2));
  const help = helpWords(given, flagsOf);
  const words = help ?? given;
  const [name = '', ...others] = words;
  if (refuseUnknownCommand(words, Object.keys(COMMANDS))) return undefined;
  if (help === undefined && isCommand(name)) {
    const Command = COMMANDS[name];
    Command.id = name;
    return new Command(others, commandConfig()).start();
  }
  // Told of its package, oclif need not look for it.
  const loadOptions = { root: dirname(__dirname), pjson: JSON.parse(KILN_PACKAGE) as PJSON };
  return execute({ dir: __dirname, args: words, loadOptions });
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

function flagsOf(name: string): FlagShapes {
  return isCommand(name) ? { ...COMMANDS[name].baseFlags, ...COMMANDS[name].flags } : {};
}

/** `kiln run IMAGE --help` asks the image's program for help: "--" keeps its words from being looked at. */
function markCommand(words: string[]): string[] {
  const [first, ...others] = words;
  if (first !== 'run') return words;
  const { own, rest } = splitCommand(others, flagsOf('run'));
  return rest.length === 0 ? words : ['run', ...own, '--', ...rest];
}
