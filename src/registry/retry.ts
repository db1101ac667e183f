/** When and how long to wait before the next attempt. The clock is handed in, so that tests need not wait. */
import { setTimeout as wait } from 'node:timers/promises';
import type { TransportFailure } from './transport-error.ts';

/** Time and chance as the network code sees them. */
export interface Clock {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Rejects with the signal's reason when it is aborted first. */
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
  /** In [0, 1). */
  readonly random: () => number;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (milliseconds, signal) => {
    try {
      await wait(milliseconds, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      throw signal?.reason ?? error;
    }
  },
  random: () => Math.random(),
};

/** How often and how patiently requests are repeated. Times in milliseconds. */
export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly attempts: number;
  /** Attempts in all when the host cannot be found or refuses: most often a typo or a service that is off. */
  readonly connectAttempts: number;
  /** Attempts in all when the host takes the connection and says nothing. */
  readonly silentAttempts: number;
  readonly baseDelay: number;
  readonly maxDelay: number;
  /** The longest Retry-After that is waited for; a longer one ends the retries. */
  readonly maxRetryAfter: number;
}

/** At seven attempts a registry that fails 30 % of its requests fails one request in 4,500. */
export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 7,
  connectAttempts: 3,
  silentAttempts: 7,
  baseDelay: 200,
  maxDelay: 15_000,
  maxRetryAfter: 120_000,
};

/** Attempts in all after a failure of this kind. */
export function attemptsAfter(kind: TransportFailure, { attempts, ...policy }: RetryPolicy): number {
  if (kind === 'dns' || kind === 'refused') return Math.min(attempts, policy.connectAttempts);
  return kind === 'timeout' ? Math.min(attempts, policy.silentAttempts) : attempts;
}

/** Wait before attempt `next` (2 is the first repetition): exponential, with half of it up to chance. Milliseconds. */
export function backoff(next: number, policy: RetryPolicy, random: () => number): number {
  const full = Math.min(policy.maxDelay, policy.baseDelay * 2 ** (next - 2));
  return full / 2 + (full / 2) * random();
}

/** Milliseconds asked for by a Retry-After header, seconds or date (RFC 9110, 10.2.3); undefined if there is none. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** True for an answer that may be another one the next time: 408, 429 and 5xx but those that say "never". */
export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
}
