/** Credential helpers for tests: real programs that speak docker's protocol. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HelperRunner } from '../../src/registry/credentials.ts';
import { runCommand } from '../../src/system/process.ts';

type Logins = Record<string, { Username: string; Secret: string }>;

/** Makes helper programs in a directory, and starts them from there for real. */
export function makeHelpers(directory: string): {
  runHelper: HelperRunner;
  makeHelper: (name: string, logins: Logins) => string;
} {
  const runHelper: HelperRunner = (program, args, input) =>
    runCommand(join(directory, program), args, { env: { PATH: '/usr/bin:/bin' }, input });
  return { runHelper, makeHelper: (name, logins) => writeHelper(directory, name, logins) };
}

/** Writes docker-credential-<name>, which keeps logins in a file beside it; gives the path of that file. */
function writeHelper(directory: string, name: string, logins: Logins): string {
  const state = join(directory, `${name}.json`);
  writeFileSync(state, JSON.stringify(logins));
  const program = join(directory, `docker-credential-${name}`);
  writeFileSync(
    program,
    `#!${process.execPath}
const fs = require('node:fs');
const logins = JSON.parse(fs.readFileSync(${JSON.stringify(state)}, 'utf8'));
const input = fs.readFileSync(0, 'utf8').trim();
const action = process.argv[2];
if (action === 'get') {
  if (!logins[input]) { console.log('credentials not found in native keychain'); process.exit(1); }
  console.log(JSON.stringify({ ServerURL: input, ...logins[input] }));
} else if (action === 'store') {
  const { ServerURL, ...rest } = JSON.parse(input);
  fs.writeFileSync(${JSON.stringify(state)}, JSON.stringify({ ...logins, [ServerURL]: rest }));
} else if (action === 'erase') {
  delete logins[input];
  fs.writeFileSync(${JSON.stringify(state)}, JSON.stringify(logins));
} else { console.error('unknown action'); process.exit(1); }
`,
  );
  chmodSync(program, 0o755);
  return state;
}
