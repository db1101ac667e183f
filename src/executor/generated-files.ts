/** The files a sandbox gets from kiln instead of the image: /etc/hosts, /etc/resolv.conf, /etc/hostname. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NetworkMode, SandboxRequest } from './sandbox.ts';

/** Their places in the root filesystem. */
export const GENERATED_PATHS = {
  hosts: '/etc/hosts',
  resolvConf: '/etc/resolv.conf',
  hostname: '/etc/hostname',
} as const;

/** Host paths of the generated files. */
export type GeneratedFiles = Readonly<Record<keyof typeof GENERATED_PATHS, string>>;

/** What the host says about names. */
export interface ResolverSources {
  /** /etc/resolv.conf. */
  readonly host: string;
  /** /run/systemd/resolve/resolv.conf: the servers behind systemd-resolved's 127.0.0.53. */
  readonly systemd: string | undefined;
  /** Server that the network helper offers, for when no other can be reached. */
  readonly forwarder: string | undefined;
}

const NAMESERVER = /^\s*nameserver\s+(\S+)/;

function isLoopback(address: string): boolean {
  return /^127\./.test(address) || address.split('%', 1)[0] === '::1';
}

/** Name servers of a resolv.conf. */
export function nameservers(text: string): string[] {
  return text.split('\n').flatMap((line) => NAMESERVER.exec(line)?.[1] ?? []);
}

/** resolv.conf for a step: the host's; without loopback servers where the step has a network of its own. */
export function resolvConf(network: NetworkMode, { host, systemd, forwarder }: ResolverSources): string {
  if (network === 'host') return host;
  const usable = (text: string): boolean => nameservers(text).some((server) => !isLoopback(server));
  const base = !usable(host) && systemd !== undefined && usable(systemd) ? systemd : host;
  const lines = base.split('\n').filter((line) => {
    const server = NAMESERVER.exec(line)?.[1];
    return server === undefined || !isLoopback(server);
  });
  if (!usable(base) && forwarder !== undefined) lines.unshift(`nameserver ${forwarder}`);
  return lines.join('\n');
}

/** /etc/hosts: localhost, the step's own name, and what `--add-host` adds. */
export function hostsFile(hostname: string, extraHosts: SandboxRequest['extraHosts']): string {
  return [
    `127.0.0.1\tlocalhost ${hostname}`,
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...extraHosts.map(({ name, address }) => `${address}\t${name}`),
    '',
  ].join('\n');
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Writes the three files into the request's scratch directory, readable by every user of the step. */
export function writeGeneratedFiles(request: SandboxRequest, forwarder?: string): GeneratedFiles {
  const sources = {
    host: readIfThere('/etc/resolv.conf') ?? '',
    systemd: readIfThere('/run/systemd/resolve/resolv.conf'),
    forwarder,
  };
  const write = (name: string, text: string): string => {
    const path = join(request.scratch, name);
    writeFileSync(path, text);
    chmodSync(path, 0o644);
    return path;
  };
  return {
    hosts: write('hosts', hostsFile(request.hostname, request.extraHosts)),
    resolvConf: write('resolv.conf', resolvConf(request.network, sources)),
    hostname: write('hostname', `${request.hostname}\n`),
  };
}
