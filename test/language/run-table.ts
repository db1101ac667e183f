/** Builds every case of a table with the installed kiln, reads the results with Python, and gives each a test. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxBase } from '../helpers/bases.ts';
import { type KilnResult, runKiln, type User } from '../helpers/run-kiln.ts';
import { run } from '../setup/run.ts';
import type { ErrorExpectation, FileExpectation, LanguageCase } from './case.ts';

/** What read-image.py says of a layout. */
interface ReadImage {
  readonly config: Readonly<Record<string, unknown>> & {
    readonly config: Readonly<Record<string, unknown>>;
    readonly history?: readonly { readonly created_by?: string; readonly empty_layer?: boolean }[];
  };
  readonly tree: Readonly<Record<string, FileExpectation>>;
  readonly layers: number;
  readonly lastLayer: readonly string[];
}

interface Outcome {
  readonly result: KilnResult;
  readonly layout: string;
  image?: ReadImage;
}

/** Declares one test a case, built as `user`. The builds happen before the first of them, some at a time. */
export function runTable(area: string, cases: readonly LanguageCase[], user: User): void {
  describe(`${area}, as ${user}`, () => {
    const root = join(tmpdir(), `kiln-language-${randomBytes(6).toString('hex')}`);
    const outcomes = new Map<LanguageCase, Outcome>();

    beforeAll(async () => {
      mkdirSync(root);
      const pending = [...cases.entries()];
      const worker = async (): Promise<void> => {
        for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
          const [index, candidate] = next;
          outcomes.set(candidate, await buildCase(candidate, { directory: join(root, String(index)), user }));
        }
      };
      await Promise.all(Array.from({ length: availableParallelism() }, worker));
      await readImages([...outcomes.values()].filter(({ result }) => result.exitCode === 0));
    });

    afterAll(() => rmSync(root, { recursive: true, force: true }));

    test.each(cases.map((candidate) => [candidate.name, candidate] as const))('%s', (_, candidate) => {
      const outcome = outcomes.get(candidate);
      if (outcome === undefined) throw new Error('the case was not built');
      checkCase(candidate, outcome);
    });
  });
}

function dedent(text: string): string {
  const lines = text.replace(/^\n/, '').split('\n');
  const widths = lines.filter((line) => line.trim() !== '').map((line) => /^ */.exec(line)?.[0].length ?? 0);
  const width = Math.min(...widths);
  return lines.map((line) => line.slice(Math.min(width, /^ */.exec(line)?.[0].length ?? 0))).join('\n');
}

function textOf(dockerfile: string): string {
  return dedent(dockerfile).replaceAll('@busybox', busyboxBase());
}

function writeContext(context: string, files: NonNullable<LanguageCase['context']>): void {
  for (const [path, entry] of Object.entries(files)) {
    const target = join(context, path);
    const { content = '', mode, link } = typeof entry === 'string' ? { content: entry } : entry;
    mkdirSync(path.endsWith('/') ? target : dirname(target), { recursive: true });
    if (link !== undefined) symlinkSync(link, target);
    else {
      if (!path.endsWith('/')) writeFileSync(target, content);
      chmodSync(target, mode ?? (path.endsWith('/') ? 0o755 : 0o644));
    }
  }
}

async function buildCase(
  candidate: LanguageCase,
  { directory, user }: { directory: string; user: User },
): Promise<Outcome> {
  const context = join(directory, 'context');
  const layout = join(directory, 'layout');
  const home = join(directory, 'home');
  mkdirSync(context, { recursive: true });
  writeContext(context, candidate.context ?? {});
  if (candidate.setup !== undefined) run('sh', ['-euc', `umask 022; ${candidate.setup}`], { cwd: context });
  if (user !== 'root') run('chown', ['-R', '-h', `${user}:`, directory]);
  const words = (candidate.args ?? []).map((word) => word.replaceAll('@dir', directory));
  const build = (name: string, text: string): Promise<KilnResult> => {
    writeFileSync(join(directory, name), text);
    const file = ['-f', join(directory, name)];
    const output = ['--output', `type=oci,tar=false,compression=uncompressed,dest=${layout}`];
    return runKiln(['build', '--progress=plain', ...file, ...output, ...words, context], {
      user,
      cwd: context,
      home,
      env: { TMPDIR: directory, ...candidate.env },
      timeout: 60_000,
    });
  };
  for (const [index, text] of (candidate.before ?? []).entries()) {
    const result = await build(`Before.${index}`, textOf(text));
    if (result.exitCode !== 0) return { result, layout };
    rmSync(layout, { recursive: true, force: true });
  }
  return { result: await build('Dockerfile', textOf(candidate.dockerfile)), layout };
}

async function readImages(outcomes: Outcome[]): Promise<void> {
  const child = spawn('python3', [join(import.meta.dirname, 'read-image.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(outcomes.map(({ layout }) => `${layout}\n`).join(''));
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout) chunks.push(chunk as Buffer);
  const lines = Buffer.concat(chunks).toString('utf8').split('\n');
  for (const [index, outcome] of outcomes.entries()) {
    const line = lines[index];
    if (line !== undefined && line !== '') outcome.image = JSON.parse(line) as ReadImage;
  }
}

function checkCase(candidate: LanguageCase, { result, image }: Outcome): void {
  if (candidate.prints !== undefined) expect(result.stderr).toMatch(candidate.prints);
  if (candidate.printsNot !== undefined) expect(result.stderr).not.toMatch(candidate.printsNot);
  if (candidate.error !== undefined) {
    checkError(candidate.error, result);
    return;
  }
  expect(result.exitCode, result.stderr).toBe(0);
  if (image === undefined) throw new Error('the image could not be read');
  checkFiles(candidate, image);
  if (candidate.lastLayer !== undefined) expect(image.lastLayer).toEqual(candidate.lastLayer);
  const { config } = image.config;
  for (const [name, value] of Object.entries(candidate.config ?? {}))
    expect.soft(config?.[name], name).toEqual(value);
  for (const [name, value] of Object.entries(candidate.image ?? {})) {
    expect.soft(image.config[name], name).toEqual(value);
  }
  checkHistory(candidate, image);
}

function checkError({ code, line, exit, message }: ErrorExpectation, { stderr, exitCode }: KilnResult): void {
  expect.soft(stderr).toContain(code);
  if (message !== undefined) expect.soft(stderr).toMatch(message);
  if (line !== undefined) expect.soft(stderr).toMatch(new RegExp(`Dockerfile:${line}\\b`));
  expect.soft(stderr).not.toMatch(/\n\s+at .*:\d+:\d+|BUG/);
  expect.soft(exitCode, stderr).toBe(exit);
}

function checkFiles({ files = {}, lists = {} }: LanguageCase, { tree }: ReadImage): void {
  for (const [path, wanted] of Object.entries(files)) {
    const found = tree[path];
    if (wanted === null) {
      expect.soft(found, `/${path}`).toBeUndefined();
      continue;
    }
    expect.soft(found, `/${path} is missing`).toBeDefined();
    const { content, ...rest } = wanted;
    if (found === undefined) continue;
    expect.soft(found, `/${path}`).toMatchObject(rest);
    if (content instanceof RegExp) expect.soft(found.content, `/${path}`).toMatch(content);
    else if (content !== undefined) expect.soft(found.content, `/${path}`).toBe(content);
  }
  for (const [parent, names] of Object.entries(lists)) {
    const prefix = parent === '' ? '' : `${parent}/`;
    const inside = Object.keys(tree)
      .filter((path) => path !== '' && path.startsWith(prefix) && !path.slice(prefix.length).includes('/'))
      .map((path) => path.slice(prefix.length));
    expect.soft(inside.sort(), `names in /${parent}`).toEqual(names);
  }
}

function checkHistory({ history, layers }: LanguageCase, image: ReadImage): void {
  const own = (image.config.history ?? []).filter(
    ({ created_by: by }) => by?.startsWith('make-base.sh') !== true,
  );
  const base = (image.config.history ?? []).length - own.length;
  if (layers !== undefined) expect.soft(image.layers - base, 'layers').toBe(layers);
  const filled = own.filter(({ empty_layer: empty }) => empty !== true);
  expect.soft(filled.length, 'history entries with a layer').toBe(image.layers - base);
  if (history === undefined) return;
  expect
    .soft(own.map(({ created_by: by }) => by))
    .toEqual(history.map((entry) => (typeof entry === 'string' ? entry : entry.createdBy)));
  for (const [index, entry] of history.entries()) {
    if (typeof entry === 'string') continue;
    expect.soft(own[index]?.empty_layer !== true, `${entry.createdBy} has a layer`).toBe(entry.layer);
  }
}
