/** EXPOSE words to "port/protocol" names, as the image config's ExposedPorts holds them. */
import { BuildError, type SourceLocation } from '../errors.ts';

const PROTOCOLS = new Set(['tcp', 'udp', 'sctp']);

/** Ports of one word: `[[ip:]hostPort:]port[-port][/protocol]`. Throws DOCKERFILE_EXPOSE at `location`. */
export function parsePorts(word: string, location: SourceLocation): string[] {
  const fail = (message: string): never => {
    throw new BuildError('DOCKERFILE_EXPOSE', message, {
      location,
      suggestions: ['Write EXPOSE PORT[-PORT][/tcp|udp|sctp], such as EXPOSE 8080 or EXPOSE 53/udp.'],
    });
  };
  const parts = word.split(':');
  const last = parts.pop() ?? '';
  const hostPort = parts.pop() ?? '';
  const address = parts.join(':');
  const slash = last.indexOf('/');
  const ports = slash < 0 ? last : last.slice(0, slash);
  const protocol = slash < 0 ? 'tcp' : last.slice(slash + 1).toLowerCase() || 'tcp';
  if (ports === '') fail(`no port specified: ${last}<empty>`);
  if (!PROTOCOLS.has(protocol)) fail(`invalid proto: ${protocol}`);
  if (address !== '' && !isAddress(address)) fail(`invalid IP address: ${address}`);
  const range = parseRange(ports) ?? fail(`invalid containerPort: ${ports}`);
  if (hostPort !== '') {
    const host = parseRange(hostPort) ?? fail(`invalid hostPort: ${hostPort}`);
    const differ = range.end - range.start !== host.end - host.start;
    if (differ && range.end !== range.start) {
      fail(`invalid ranges specified for container and host Ports: ${ports} and ${hostPort}`);
    }
  }
  const names: string[] = [];
  for (let port = range.start; port <= range.end; port++) names.push(`${port}/${protocol}`);
  return names;
}

function isAddress(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) || /^\[?[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\]?$/.test(text);
}

function parseRange(text: string): { start: number; end: number } | undefined {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = match[2] === undefined ? start : Number(match[2]);
  return start > 65535 || end > 65535 || end < start ? undefined : { start, end };
}
