/**
 * Which proxy a request takes: HTTP_PROXY, HTTPS_PROXY and NO_PROXY as Go's httpproxy package reads them, because
 * docker, podman and containerd are configured by the same variables on the same machines.
 */
import { BlockList, isIP } from 'node:net';

/** The environment variables a module reads; handed in, never taken from the process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy for a URL, or undefined for a direct connection. Loopback hosts never take a proxy. */
export function proxyFor(url: URL, env: Environment): URL | undefined {
  const name = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
  const proxy = variable(env, name);
  if (proxy === undefined || isLoopback(url.hostname)) return undefined;
  if (bypasses(url, variable(env, 'no_proxy') ?? '')) return undefined;
  try {
    return new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`);
  } catch {
    return undefined;
  }
}

/** True for localhost, 127.0.0.0/8 and [::1], given as a URL's hostname. */
export function isLoopback(hostname: string): boolean {
  const bare = unbracket(hostname.toLowerCase());
  return (
    bare === 'localhost' ||
    bare.endsWith('.localhost') ||
    bare === '::1' ||
    (isIP(bare) === 4 && bare.startsWith('127.'))
  );
}

/** The lower-case spelling wins, as in curl and Go. */
function variable(env: Environment, name: string): string | undefined {
  return env[name] || env[name.toUpperCase()] || undefined;
}

function bypasses(url: URL, list: string): boolean {
  const host = unbracket(url.hostname.toLowerCase());
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== '' && matches(entry, host, port));
}

/** One entry of NO_PROXY: "*", an address, a CIDR block, a domain with its subdomains, ".domain" for these alone; with or without port. */
function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return inBlock(entry, host);
  const { name, port: wanted } = splitPort(entry);
  if (wanted !== undefined && wanted !== port) return false;
  if (isIP(host) !== 0 || isIP(name) !== 0) return name === host;
  const domain = name.replace(/^\*(?=\.)/, '');
  if (domain.startsWith('.')) return host.endsWith(domain);
  return host === domain || host.endsWith(`.${domain}`);
}

function splitPort(entry: string): { name: string; port?: string } {
  if (isIP(unbracket(entry)) !== 0) return { name: unbracket(entry) };
  const match = /^(.*):([0-9]+)$/.exec(entry);
  return match ? { name: unbracket(match[1] ?? ''), port: match[2] ?? '' } : { name: entry };
}

function inBlock(entry: string, host: string): boolean {
  const [address = '', bits = ''] = entry.split('/');
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family || !/^\d+$/.test(bits)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  if (Number(bits) > (family === 4 ? 32 : 128)) return false;
  const block = new BlockList();
  block.addSubnet(address, Number(bits), type);
  return block.check(host, type);
}

function unbracket(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}
