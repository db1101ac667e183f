/** Where test set-up keeps what is expensive to make, outside the clone and readable by every user. */
export const CACHE = '/var/cache/kiln-test';

/** The unprivileged user that tests build as. */
export const TEST_USER = 'kilntest';
