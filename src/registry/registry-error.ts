/** Answers of registries and failures of the network, said so that the reader knows what to do (DESIGN D10). */
import { BuildError, type ErrorCode } from '../errors.ts';
import type { Login } from './credentials.ts';
import { redactText } from './redact.ts';
import { type HttpResponse, readBody } from './transport.ts';
import type { TransportError } from './transport-error.ts';
import type { TlsSettings } from './trust.ts';

/** One entry of an error body (distribution-spec, "Error Codes"). */
export interface RegistryMessage {
  readonly code: string;
  readonly message: string;
}

/** A request as an error names it. */
export interface Asked {
  /** Host as in references. */
  readonly registry: string;
  readonly repository: string;
  /** What was asked for, such as "manifest 3.20" or "upload of sha256:…". */
  readonly what: string;
  readonly scopes: readonly string[];
  readonly login: Login;
}

/** An unexpected answer with its body read; thrown inside registry/ so that callers can look at the status. */
export class RegistryError extends BuildError {
  readonly status: number;
  readonly answers: readonly RegistryMessage[];
  /** The Retry-After header as it was sent. */
  readonly retryAfter: string | undefined;

  constructor(parts: {
    code: ErrorCode;
    message: string;
    status: number;
    answers: readonly RegistryMessage[];
    suggestions: readonly string[];
    retryAfter?: string | undefined;
  }) {
    super(parts.code, parts.message, { suggestions: parts.suggestions });
    this.status = parts.status;
    this.answers = parts.answers;
    this.retryAfter = parts.retryAfter;
  }

  /** The same answer under another code, or with more suggestions. */
  with(change: { code?: ErrorCode; message?: string; suggestions?: readonly string[] }): RegistryError {
    const { code, message, status, answers, suggestions, retryAfter } = this;
    return new RegistryError({ code, message, status, answers, suggestions, retryAfter, ...change });
  }

  /** True when the registry's answer has this error code. */
  says(code: string): boolean {
    return this.answers.some((answer) => answer.code === code);
  }
}

const MAX_ERROR_BODY = 64 * 1024;

/** Reads the body of a failed request and makes the error of it; it contains no secret. */
export async function responseError(response: HttpResponse, asked: Asked): Promise<RegistryError> {
  const answers = await readAnswers(response, secretsOf(asked.login));
  const { status } = response;
  const name = asked.repository === '' ? asked.registry : `${asked.registry}/${asked.repository}`;
  const said = answerText(status, answers);
  const { code, cause, suggestions } = explain(response, asked);
  return new RegistryError({
    code,
    message: `${name}: ${asked.what}: ${cause}; the registry said: ${said}`,
    status,
    answers,
    suggestions,
    retryAfter: response.headers['retry-after'],
  });
}

/** What a registry said, in one line. */
function answerText(status: number, answers: readonly RegistryMessage[]): string {
  const texts = answers.map(({ code, message }) => [code, message].filter((part) => part !== '').join(': '));
  return [`HTTP ${status}`, ...texts].join(', ');
}

/** The errors in a body: the specification's JSON, a token server's "details", or the start of any text. */
async function readAnswers(response: HttpResponse, secrets: readonly string[]): Promise<RegistryMessage[]> {
  const text = await readBody(response, MAX_ERROR_BODY).then(String, () => '');
  const clean = (value: unknown) => (typeof value === 'string' ? redactText(value, secrets) : '');
  try {
    const json = JSON.parse(text) as Record<string, unknown>;
    const list = Array.isArray(json['errors']) ? (json['errors'] as unknown[]) : [json];
    return list.slice(0, 5).flatMap((entry) => {
      if (typeof entry !== 'object' || entry === null) return [];
      const {
        code,
        error,
        message,
        details,
        detail,
        error_description: description,
      } = entry as Record<string, unknown>;
      const said = {
        code: clean(code ?? error),
        message: clean(message ?? details ?? description ?? detail),
      };
      return said.code === '' && said.message === '' ? [] : [said];
    });
  } catch {
    // A proxy's HTML page: its text without the tags says most.
    const plain = clean(text.replace(/<(style|script)[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' '));
    return plain === '' ? [] : [{ code: '', message: plain.slice(0, 200) }];
  }
}

/** Everything of a login that must not be printed. */
export function secretsOf({ credentials }: Login): string[] {
  if (credentials === undefined) return [];
  if (credentials.kind !== 'password') return [credentials.token];
  const { username, password } = credentials;
  return [password, Buffer.from(`${username}:${password}`).toString('base64')];
}

interface Explanation {
  readonly code: ErrorCode;
  readonly cause: string;
  readonly suggestions: readonly string[];
}

function explain(response: HttpResponse, asked: Asked): Explanation {
  const { registry } = asked;
  switch (response.status) {
    case 401:
      return {
        code: 'REGISTRY_UNAUTHORIZED',
        cause: `not authorized (${whoAsked(asked)})`,
        suggestions: loginAdvice(asked),
      };
    case 403:
      return {
        code: 'REGISTRY_DENIED',
        cause: `access denied (${whoAsked(asked)})`,
        suggestions: loginAdvice(asked),
      };
    case 404:
      return {
        code: 'REGISTRY_NOT_FOUND',
        cause: 'not found',
        suggestions: ['Check the spelling of the name.'],
      };
    case 413:
      return {
        code: 'REGISTRY_UPLOAD_TOO_LARGE',
        cause: 'the request is too large for the registry or a proxy before it',
        suggestions: ['Set a smaller --push-chunk-size, or raise the body limit of the proxy.'],
      };
    case 429:
      return rateLimit(response, asked);
    default:
      return response.status >= 500
        ? {
            code: 'REGISTRY_UNAVAILABLE',
            cause: 'the registry failed, also after several attempts',
            suggestions: [`Try again later, or ask who runs ${registry}.`],
          }
        : { code: 'REGISTRY_REFUSED', cause: 'the registry refused', suggestions: [] };
  }
}

function rateLimit(response: HttpResponse, asked: Asked): Explanation {
  const limit = /^(\d+)(?:;w=(\d+))?/.exec(response.headers['ratelimit-limit'] ?? '');
  const window = limit?.[2] === undefined ? '' : ` in ${Number(limit[2]) / 3600} h`;
  const known = limit ? `, limit ${limit[1]} requests${window}` : '';
  const after = response.headers['retry-after'];
  const anonymous = asked.login.credentials === undefined;
  return {
    code: 'REGISTRY_RATE_LIMIT',
    cause: `too many requests (${anonymous ? 'anonymous' : asked.login.origin}${known}${after ? `, retry after ${redactText(after)}` : ''})`,
    suggestions: [
      ...(anonymous ? [`Log in, which raises the limit: kiln login ${asked.registry}`] : []),
      'Configure a mirror for the registry in registries.conf, or pin the image by digest and keep it in the local store.',
    ],
  };
}

/** Whose request it was and for what: the first question after a 401 or 403. */
function whoAsked({ login, scopes }: Asked): string {
  const scope = scopes.length === 0 ? '' : `, scope ${scopes.join(' ')}`;
  return `${login.credentials === undefined ? 'anonymous' : `login from ${login.origin}`}${scope}`;
}

function loginAdvice({ registry, login, repository }: Asked): string[] {
  const notes = login.notes.map((note) => `Note: ${note}.`);
  if (login.credentials === undefined) {
    return [
      `Log in: kiln login ${registry}`,
      `Check the name: a repository you may not see looks the same as one that does not exist (${repository}).`,
      ...notes,
    ];
  }
  return [
    `Check that the login from ${login.origin} is valid and may do this, or log in again: kiln login ${registry}`,
    ...notes,
  ];
}

/** A request that got no answer, as an error for the reader. */
export function networkError(error: TransportError, at: { registry: string; tls: TlsSettings }): BuildError {
  const { registry, tls } = at;
  if (error.kind === 'tls') {
    const trusted =
      tls.directory === undefined
        ? 'the CAs of this machine'
        : `the CAs of this machine and ${tls.directory}`;
    return new BuildError(
      'REGISTRY_TLS',
      `the certificate of ${registry} is not trusted: ${error.message} (${error.code}); trusted are ${trusted}`,
      {
        suggestions: [
          `Put the CA's certificate into ~/.config/containers/certs.d/${registry}/ca.crt, or name it in SSL_CERT_FILE.`,
          `To go without a check, set insecure = true for location = "${registry}" in registries.conf.`,
        ],
        cause: error,
      },
    );
  }
  if (error.kind === 'not-tls') {
    return new BuildError('REGISTRY_TLS', `${registry} does not speak TLS: ${error.message}`, {
      suggestions: [
        `If it is a plain HTTP registry, set insecure = true for location = "${registry}" in registries.conf.`,
      ],
      cause: error,
    });
  }
  return new BuildError('REGISTRY_UNREACHABLE', `cannot reach the registry ${registry}: ${error.message}`, {
    suggestions: unreachableAdvice(error, registry),
    cause: error,
  });
}

function unreachableAdvice(error: TransportError, registry: string): string[] {
  switch (error.kind) {
    case 'dns':
      return [`Check the spelling of "${registry}" and this machine's DNS; behind a proxy, set HTTPS_PROXY.`];
    case 'refused':
      return [`Check that the registry runs and listens at ${registry}.`];
    case 'proxy':
      return ['Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and the login in the proxy address.'];
    default:
      return ['Check the network and try again; finished blobs are not sent or fetched again.'];
  }
}
