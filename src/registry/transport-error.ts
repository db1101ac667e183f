/** Failures of the network below HTTP, sorted by what can be done about them. */
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import { redactUrl } from './redact.ts';

/** What failed. "protocol" is an answer that makes no sense; "tls" a certificate or a peer without TLS. */
export type TransportFailure =
  | 'dns'
  | 'refused'
  | 'unreachable'
  | 'timeout'
  | 'cut'
  | 'tls'
  | 'not-tls'
  | 'proxy'
  | 'protocol';

/** A request that got no answer. Stays inside registry/, where it becomes a BuildError. */
export class TransportError extends Error {
  readonly kind: TransportFailure;
  /** The system's or library's own name of the failure, such as ECONNRESET. */
  readonly code: string | undefined;

  constructor(
    kind: TransportFailure,
    message: string,
    options: { cause?: unknown; code?: string | undefined } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'TransportError';
    this.kind = kind;
    this.code = options.code;
  }

  /** True when the same request may succeed a moment later. */
  get transient(): boolean {
    return !['tls', 'not-tls', 'proxy', 'protocol'].includes(this.kind);
  }
}

/** The bytes to send could not be read here; the network has no part in it, so nothing is repeated. */
export class LocalReadError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LocalReadError';
  }
}

const KINDS: Readonly<Record<string, TransportFailure>> = {
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  EAI_FAIL: 'dns',
  EAI_NODATA: 'dns',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ETIMEDOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  UND_ERR_HEADERS_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  UND_ERR_PRX_CONN: 'proxy',
  UND_ERR_PRX_TLS: 'proxy',
  UND_ERR_HEADERS_OVERFLOW: 'protocol',
  UND_ERR_INVALID_ARG: 'protocol',
  EPROTO: 'not-tls',
  ERR_SSL_WRONG_VERSION_NUMBER: 'not-tls',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'not-tls',
  ERR_SSL_HTTP_REQUEST: 'not-tls',
};

const CERTIFICATE_CODE =
  /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_|ERR_SSL_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|CRL_|ERROR_IN_)/;

/** Sorts whatever a request failed with. An error that is one already, or belongs to the blob, stays as it is. */
export function transportError(error: unknown, at: { url: URL; proxy: URL | undefined }): Error {
  if (error instanceof TransportError || error instanceof LocalReadError || error instanceof BuildError)
    return error;
  if (error instanceof Error && error.cause instanceof LocalReadError) return error.cause;
  const inner = firstOf(error);
  const code = systemErrorCode(inner);
  const kind = kindOf(inner, code);
  const proxied =
    at.proxy === undefined ? '' : ` through the proxy ${redactUrl(at.proxy).replace(/\/$/, '')}`;
  const message = `${redactUrl(at.url)}${proxied}: ${describe(kind, inner, code)}`;
  return new TransportError(kind, message, { cause: error, code });
}

/** Several addresses were tried, or a library wrapped the cause: the first real failure tells most. */
function firstOf(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) return firstOf(error.errors[0]);
  if (error instanceof Error && systemErrorCode(error) === 'UND_ERR_PRX_TLS') return error;
  return error;
}

function kindOf(error: unknown, code: string | undefined): TransportFailure {
  const message = messageOf(error);
  if (/HTTP Tunneling|Proxy Authentication Required/.test(message)) return 'proxy';
  if (code === undefined) return 'cut';
  if (/wrong version number|packet length too long|http request/i.test(message)) return 'not-tls';
  if (KINDS[code] !== undefined) return KINDS[code];
  if (code.startsWith('HPE_')) return 'protocol';
  return CERTIFICATE_CODE.test(code) ? 'tls' : 'cut';
}

function describe(kind: TransportFailure, error: unknown, code: string | undefined): string {
  const own = messageOf(error).replaceAll(/\s+/g, ' ').slice(0, 300);
  switch (kind) {
    case 'dns':
      return `the host name cannot be resolved (${code})`;
    case 'refused':
      return 'the connection was refused';
    case 'unreachable':
      return `the host cannot be reached (${code})`;
    case 'timeout':
      return `no answer in time (${code})`;
    case 'not-tls':
      return 'the server does not speak TLS';
    case 'proxy':
      return `the proxy refused: ${own}`;
    default:
      return own;
  }
}
