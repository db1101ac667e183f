/** Thrown outside the namespace when a step must run: no failure of that step, as the build goes on inside. */
export class NeedsNamespace extends Error {}
