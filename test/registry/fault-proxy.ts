/** A real HTTP server between client and registry that forwards everything and breaks what a test tells it to. */
import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import { Transform } from 'node:stream';
import { close, listen } from './registry-server.ts';

/** What happens to one request. */
export type Fault =
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** The connection is reset before the registry sees the request. */
  | { readonly kind: 'reset' }
  /** The registry gets and answers the request; the client's connection is reset instead of the answer. */
  | { readonly kind: 'lose-answer' }
  /** The registry gets this many bytes of the body, then both connections are reset. */
  | { readonly kind: 'cut-request'; readonly bytes: number }
  /** The client gets this many bytes of the answer's body, then its connection is reset. */
  | { readonly kind: 'cut-answer'; readonly bytes: number }
  /** The answer's body is changed. */
  | { readonly kind: 'corrupt' }
  | { readonly kind: 'redirect'; readonly location: string };

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** Bytes of the body that came in; grows while it does. */
  received: number;
  fault: Fault | undefined;
}

export interface FaultProxyOptions {
  /** Port of the registry on 127.0.0.1. */
  readonly target: number;
  /** Decides about each request; undefined lets it pass. */
  readonly fault?: (request: SeenRequest) => Fault | undefined;
  /** Bodies longer than this get 413 and never reach the registry, as behind nginx's client_max_body_size. */
  readonly maxBody?: number;
}

export interface FaultProxy {
  readonly host: string;
  readonly port: number;
  readonly requests: readonly SeenRequest[];
  /** Requests of a method whose URL contains a text. */
  seen(method: string, part?: string): SeenRequest[];
  stop(): Promise<void>;
}

export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const requests: SeenRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    const seen: SeenRequest = {
      method: incoming.method ?? '',
      url: incoming.url ?? '',
      headers: incoming.headers,
      received: 0,
      fault: undefined,
    };
    requests.push(seen);
    incoming.on('error', () => {});
    outgoing.on('error', () => {});
    const tooLong =
      options.maxBody !== undefined && Number(incoming.headers['content-length'] ?? 0) > options.maxBody;
    const fault: Fault | undefined = tooLong
      ? { kind: 'status', status: 413, body: '<h1>413 Request Entity Too Large</h1>' }
      : options.fault?.(seen);
    seen.fault = fault;
    handle(incoming, outgoing, { fault, seen, target: options.target });
  });
  const port = await listen(server);
  return {
    host: `127.0.0.1:${port}`,
    port,
    requests,
    seen: (method, part = '') =>
      requests.filter((request) => request.method === method && request.url.includes(part)),
    stop: () => close(server),
  };
}

interface Handling {
  readonly fault: Fault | undefined;
  readonly seen: SeenRequest;
  readonly target: number;
}

function handle(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { fault, seen, target }: Handling,
): void {
  if (fault?.kind === 'reset') return void incoming.socket.resetAndDestroy();
  if (fault?.kind === 'status' || fault?.kind === 'redirect') {
    incoming.resume();
    const headers = fault.kind === 'redirect' ? { location: fault.location } : fault.headers;
    outgoing.writeHead(fault.kind === 'redirect' ? 307 : fault.status, headers);
    return void outgoing.end(fault.kind === 'status' ? fault.body : undefined);
  }
  const upstream = send({
    host: '127.0.0.1',
    port: target,
    method: seen.method,
    path: seen.url,
    headers: incoming.headers,
  });
  upstream.on('error', () => incoming.socket.destroy());
  upstream.on('response', (response) => {
    if (fault?.kind === 'lose-answer') {
      response.resume().once('end', () => incoming.socket.resetAndDestroy());
      return;
    }
    response.on('error', () => incoming.socket.destroy());
    outgoing.writeHead(response.statusCode ?? 500, response.headers);
    response.pipe(damage(fault, incoming)).pipe(outgoing);
  });
  const counter = new Transform({
    transform(piece: Buffer, _encoding, done) {
      seen.received += piece.length;
      if (fault?.kind !== 'cut-request' || seen.received < fault.bytes) return done(null, piece);
      // What was let through must reach the registry before the cut does.
      upstream.write(piece.subarray(0, piece.length - (seen.received - fault.bytes)), () => {
        setTimeout(() => {
          upstream.destroy();
          incoming.socket.resetAndDestroy();
        }, 50);
      });
    },
  });
  incoming.pipe(counter).pipe(upstream);
}

function damage(fault: Fault | undefined, incoming: IncomingMessage): Transform {
  let passed = 0;
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      if (fault?.kind === 'corrupt') {
        const changed = Buffer.from(piece);
        if (passed === 0) changed[0] = (changed[0] ?? 0) ^ 1;
        passed += piece.length;
        return done(null, changed);
      }
      if (fault?.kind !== 'cut-answer') return done(null, piece);
      const rest = fault.bytes - passed;
      passed += piece.length;
      if (rest >= piece.length) return done(null, piece);
      this.push(piece.subarray(0, Math.max(0, rest)));
      setTimeout(() => incoming.socket.resetAndDestroy(), 50);
    },
  });
}
