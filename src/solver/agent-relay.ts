/** An ssh agent's socket shown to a step under an owner and mode of its own: bytes are passed on, nothing is kept. */
import { chmodSync, chownSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';

export interface AgentRelay {
  /** Path of the new socket. */
  readonly socket: string;
  /** Path of the agent's. */
  readonly agent: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** Listens until the returned function is called. */
export async function relayAgent({
  socket,
  agent,
  uid,
  gid,
  mode,
}: AgentRelay): Promise<() => Promise<void>> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(agent);
    for (const end of [client, upstream]) {
      open.add(end);
      end.on('close', () => open.delete(end));
      // Either side may vanish at any time; the other one is then closed.
      end.on('error', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
  chownSync(socket, uid, gid);
  chmodSync(socket, mode);
  return () =>
    new Promise((resolve) => {
      for (const end of open) end.destroy();
      server.close(() => resolve());
    });
}
