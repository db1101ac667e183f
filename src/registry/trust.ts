/**
 * Whom a TLS connection believes: the machine's CA bundle, files named in the environment, and per registry the
 * files of certs.d (containers-certs.d(5), docker's /etc/docker/certs.d).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import type { Environment } from './proxy.ts';

/** Trust of one registry; one object is one set of connections. */
export interface TlsSettings {
  /** What a message says about it: the certs.d directory in use, if any. */
  readonly directory?: string;
  /** PEM. */
  readonly ca: readonly string[];
  /** PEM pairs that the registry may ask for. */
  readonly clients: readonly { readonly cert: string; readonly key: string }[];
  /** Accept any certificate, as `insecure = true` in registries.conf says. */
  readonly insecure: boolean;
}

/** Distributions' CA bundles; the first that exists is the machine's trust. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** Reads trust from disk, each file once. */
export class TrustStore {
  readonly #env: Environment;
  readonly #directories: readonly string[];
  readonly #settings = new Map<string, TlsSettings>();
  readonly #contexts = new Map<TlsSettings, SecureContext>();
  #machine: readonly string[] | undefined;

  /** `home` is the user's home directory, whose own certs.d come before the machine's. */
  constructor(env: Environment, home: string) {
    this.#env = env;
    const config = env['XDG_CONFIG_HOME'] || join(home, '.config');
    this.#directories = [
      join(config, 'containers/certs.d'),
      join(config, 'docker/certs.d'),
      '/etc/containers/certs.d',
      '/etc/docker/certs.d',
    ];
  }

  /** Trust for a host as written in references (port only if it is written there). Throws REGISTRY_TLS for unreadable files. */
  settingsFor(host: string, insecure: boolean): TlsSettings {
    const key = `${insecure ? 'insecure' : 'verified'} ${host}`;
    const known = this.#settings.get(key);
    if (known !== undefined) return known;
    const settings = this.#read(host, insecure);
    this.#settings.set(key, settings);
    return settings;
  }

  /** True when certs.d has a directory for the host. */
  isConfigured(host: string): boolean {
    return this.settingsFor(host, false).directory !== undefined;
  }

  /** Trust for a host that a registry sends us to: its own if it has any, else the registry's without client keys. */
  forwarded(host: string, from: TlsSettings): TlsSettings {
    const own = this.settingsFor(host, from.insecure);
    if (own.directory !== undefined || (from.ca.length === 0 && !from.insecure)) return own;
    const key = `forwarded ${from.insecure} ${from.directory}`;
    const known = this.#settings.get(key) ?? { ca: from.ca, clients: [], insecure: from.insecure };
    this.#settings.set(key, known);
    return known;
  }

  /** The TLS context of these settings: made once, because reading a CA bundle takes longer than a handshake. */
  context(settings: TlsSettings): SecureContext {
    const known = this.#contexts.get(settings);
    if (known !== undefined) return known;
    const { ca, clients } = settings;
    try {
      const context = createSecureContext({
        ca: [...this.#machineTrust(rootCertificates), ...ca],
        ...(clients.length === 0
          ? {}
          : { cert: clients.map(({ cert }) => cert), key: clients.map(({ key }) => key) }),
      });
      this.#contexts.set(settings, context);
      return context;
    } catch (error) {
      throw unusable(settings.directory ?? 'the CA files of this machine', error);
    }
  }

  #read(host: string, insecure: boolean): TlsSettings {
    for (const parent of this.#directories) {
      const directory = join(parent, host);
      const names = listIfExists(directory);
      if (names === undefined) continue;
      const read = (name: string) => readPem(join(directory, name));
      return {
        directory,
        insecure,
        ca: names.filter((name) => name.endsWith('.crt')).map(read),
        clients: names
          .filter((name) => name.endsWith('.cert'))
          .map((name) => ({ cert: read(name), key: read(name.replace(/\.cert$/, '.key')) })),
      };
    }
    return { ca: [], clients: [], insecure };
  }

  /** The machine's bundle (or Node's own where there is none) and what SSL_CERT_FILE and NODE_EXTRA_CA_CERTS add. */
  #machineTrust(fallback: readonly string[]): readonly string[] {
    if (this.#machine !== undefined) return this.#machine;
    const bundle = SYSTEM_BUNDLES.map(readIfExists).find((text) => text !== undefined);
    const extra = ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'].flatMap((name) => {
      const path = this.#env[name];
      return path === undefined || path === '' || SYSTEM_BUNDLES.includes(path) ? [] : [readPem(path, name)];
    });
    this.#machine = [...(bundle === undefined ? fallback : [bundle]), ...extra];
    return this.#machine;
  }
}

function listIfExists(directory: string): string[] | undefined {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw unusable(directory, error);
  }
}

function readIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function readPem(path: string, variable?: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw unusable(variable === undefined ? path : `${path} (from ${variable})`, error);
  }
}

function unusable(what: string, error: unknown): BuildError {
  return new BuildError('REGISTRY_TLS', `cannot use ${what} for TLS: ${messageOf(error)}`, {
    suggestions: [
      '*.crt files must hold CA certificates in PEM form; client keys come in pairs x.cert and x.key.',
    ],
    cause: error,
  });
}
