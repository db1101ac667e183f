/** Variables whose names say that their values are secret (Docker's build check SecretsUsedInArgOrEnv). */

const SECRET = /(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const NOT_SECRET = /(?:_|^)(?:public|file|version)(?:_|$)/i;

/** True for a name such as DB_PASSWORD. */
export function looksSecret(name: string): boolean {
  return SECRET.test(name) && !NOT_SECRET.test(name);
}
