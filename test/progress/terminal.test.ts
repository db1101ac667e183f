/** The live view in a real terminal, tmux: what is on the screen, also when it becomes narrower. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const PROGRAM = path.join(import.meta.dirname, 'entries/terminal-program.ts');
let folder: string;

function tmux(...args: string[]): string {
  return execFileSync('tmux', ['-S', path.join(folder, 'socket'), '-f', '/dev/null', ...args], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: folder, LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function hasTmux(): boolean {
  try {
    execFileSync('tmux', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** What the terminal has shown since it began, with the spinner at rest. */
function screen(): string {
  return tmux('capture-pane', '-p', '-S', '-')
    .replaceAll(/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/g, '*')
    .replaceAll(/\d+\.\ds/g, '0.0s')
    .replaceAll(/ +$/gm, '')
    .trimEnd()
    .replace(/^(\d+\n)+/, '');
}

/** Waits until the screen has a text. */
async function until(text: string): Promise<string> {
  for (let turn = 0; turn < 100; turn += 1) {
    if (screen().includes(text)) return screen();
    await sleep(50);
  }
  throw new Error(`never seen: ${text}\n${screen()}`);
}

function start(ending: string): void {
  // A terminal in use is full. In one that is not, tmux moves rows into its history when it becomes narrower,
  // where no program can erase them.
  const shell = `${process.execPath} --disable-warning=ExperimentalWarning ${PROGRAM} ${folder} ${ending}; read x`;
  tmux('-u', 'new-session', '-d', '-x', '50', '-y', '16', '-s', 'kiln', `sh -c 'seq 20; ${shell}'`);
}

/** Lets the program go on. */
function pass(point: string): void {
  writeFileSync(path.join(folder, point), '');
}

const cursorIsVisible = () => tmux('display-message', '-p', '#{cursor_flag}').trim() === '1';

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'kiln-tmux-'));
});
afterEach(() => {
  try {
    tmux('kill-server');
  } catch {
    // It ends by itself when its last program does.
  }
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(!hasTmux())('in a terminal', () => {
  // tmux changes the screen before the program hears of it: a frame drawn in between leaves scraps.
  it('running steps are live, and only what is final stays', { retry: 4 }, async () => {
    start('end');
    expect(await until('cc -c b.c')).toBe(
      `
✔ [builder 1/3] COPY . .                   CACHED
* Building 0.0s, 1 done (1 cached), 2 running
* [builder 2/3] RUN make                     0.0s
    cc -c a.c
    漢字👍漢字👍漢字👍漢字👍漢字👍漢字👍漢字👍漢…
    cc -c b.c
* [app 1/2] RUN apk add curl 漢字漢字漢字漢… 0.0s`.slice(1),
    );
    expect(cursorIsVisible()).toBe(false);
    tmux('resize-window', '-t', 'kiln', '-x', '34', '-y', '16');
    await sleep(400);
    tmux('resize-window', '-t', 'kiln', '-x', '60', '-y', '16');
    await sleep(400);
    pass('first');
    await until('[builder 2/3] RUN make                               0.0s');
    pass('second');
    expect(await until('the end')).toBe(
      `
✔ [builder 1/3] COPY . .                   CACHED
from elsewhere
✔ [builder 2/3] RUN make                               0.0s
✖ [app 1/2] RUN apk add curl 漢字漢字漢字漢字          0.0s
✖ failed after 0.0s
the end`.slice(1),
    );
    expect(cursorIsVisible()).toBe(true);
  });

  it('a crash gives the cursor back', async () => {
    start('crash');
    await until('cc -c b.c');
    expect(cursorIsVisible()).toBe(false);
    pass('first');
    await until('from elsewhere');
    pass('second');
    await until('Error: crashed');
    await sleep(100);
    expect(cursorIsVisible()).toBe(true);
  });
});
