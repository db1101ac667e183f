/** Servers on this machine for what builds fetch: files over HTTP, and git repositories over git's own HTTP backend. */
import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { run } from '../setup/run.ts';

export interface ServedFile {
  readonly body: Buffer | string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status?: number;
  /** Ends the connection after so many bytes. */
  readonly cutAt?: number;
}

export interface FileServer {
  /** "http://127.0.0.1:PORT" */
  readonly url: string;
  /** May be changed while the server runs. */
  readonly files: Map<string, ServedFile>;
  /** "GET /a 200", in order. */
  readonly requests: string[];
}

/** Starts a server of fixed files for one test. Conditional requests are answered with 304 where an ETag matches. */
export async function serveFiles(files: Readonly<Record<string, ServedFile>>): Promise<FileServer> {
  const served = new Map(Object.entries(files));
  const requests: string[] = [];
  const url = await listen((request, response) => {
    const file = served.get(request.url ?? '');
    response.on('close', () => requests.push(`${request.method} ${request.url} ${response.statusCode}`));
    if (file === undefined) {
      response.writeHead(404).end('nothing here');
      return;
    }
    const { headers = {}, status = 200, body, cutAt } = file;
    const known = request.headers['if-none-match'];
    if (known !== undefined && known === headers['etag']) {
      response.writeHead(304, headers).end();
      return;
    }
    const bytes = Buffer.from(body);
    response.writeHead(status, { 'content-length': bytes.length, ...headers });
    if (cutAt === undefined) response.end(bytes);
    else response.write(bytes.subarray(0, cutAt), () => response.destroy());
  });
  return { url, files: served, requests };
}

export interface GitServer {
  /** "http://127.0.0.1:PORT"; repositories are below it, as /NAME.git. */
  readonly url: string;
  /** How often files were fetched. */
  readonly fetches: () => number;
  /** Authorization headers that came, "" where there was none. */
  readonly logins: ReadonlySet<string>;
}

/**
 * Serves the bare repositories below a directory for one test; with a login when one is given ("user:password").
 * `oldProtocol` is version 0, in which a server gives out by name only what its refs point at.
 */
export async function serveGit(
  directory: string,
  login?: string,
  { oldProtocol = false }: { readonly oldProtocol?: boolean } = {},
): Promise<GitServer> {
  let fetches = 0;
  const logins = new Set<string>();
  const url = await listen((request, response) => {
    logins.add(request.headers.authorization ?? '');
    if (oldProtocol) delete request.headers['git-protocol'];
    const wanted = login === undefined ? undefined : `Basic ${Buffer.from(login).toString('base64')}`;
    if (wanted !== undefined && request.headers.authorization !== wanted) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    if (request.method === 'POST') fetches += 1;
    backend(directory, request, response);
  });
  return { url, fetches: () => fetches, logins };
}

/** git http-backend is a CGI program: the request in variables, headers and body on its output. */
function backend(directory: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://localhost');
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: directory,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: String(request.headers['content-encoding'] ?? ''),
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
  });
  request.pipe(child.stdin);
  let head: Buffer | undefined = Buffer.alloc(0);
  child.stdout.on('data', (chunk: Buffer) => {
    if (head === undefined) {
      response.write(chunk);
      return;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    for (const line of head.toString('latin1', 0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(/:\s*(.*)/);
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.write(head.subarray(end + 4));
    head = undefined;
  });
  child.on('close', () => response.end());
}

async function listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handle);
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Commits of the repository that `makeRepository` makes. */
export interface Commits {
  readonly first: string;
  readonly second: string;
}

/**
 * A bare repository DIRECTORY/NAME.git of two commits. The first, tagged v1 (annotated) and branch old, has app/a and a
 * Dockerfile that copies all; the second, HEAD, adds app/b.
 */
export function makeRepository(
  directory: string,
  name: string,
  dockerfile = 'FROM scratch\nCOPY . /all/\n',
): Commits {
  const script = `
    export HOME="$1" GIT_AUTHOR_DATE="2024-01-02T03:04:05Z" GIT_COMMITTER_DATE="2024-01-02T03:04:05Z"
    git init -q -b main "$1/work" && cd "$1/work"
    git config user.name n && git config user.email n@example.com
    mkdir app && echo a > app/a && chmod 755 app/a && ln -s a app/link
    printf '%s' "$3" > Dockerfile && printf 'all\\n' > .dockerignore
    printf 'FROM scratch\\nCOPY . /sub/\\n' > app/Dockerfile
    git add -A && git commit -qm first && git tag -a v1 -m v1 && git branch old
    echo b > app/b && git add -A && git commit -qm second
    git clone -q --bare "$1/work" "$1/$2.git"
    git rev-parse HEAD~1 HEAD && cd / && rm -rf "$1/work"
    chmod -R a+rX "$1/$2.git"
  `;
  const [first = '', second = ''] = run('sh', ['-euc', script, 'sh', directory, name, dockerfile])
    .trim()
    .split('\n');
  return { first, second };
}
