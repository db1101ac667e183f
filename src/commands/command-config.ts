/** What a command that is known already asks of oclif's configuration. */
import type { Command } from '@oclif/core/command';

type OclifConfig = ConstructorParameters<typeof Command>[1];

type Asked = Pick<
  OclifConfig,
  'bin' | 'topicSeparator' | 'userAgent' | 'runHook' | 'scopedEnvVar' | 'scopedEnvVarKey' | 'scopedEnvVarKeys'
>;

/**
 * Without the search for plugins, hooks, topics and aliases, of which kiln has none: that takes 10 of the 80 ms of a small
 * cached build. Help is written from oclif's own configuration, where there is time.
 */
export function commandConfig(): OclifConfig {
  const asked: Asked = {
    bin: 'kiln',
    // The words of a command that was found need no sorting into topics.
    topicSeparator: ':',
    userAgent: 'kiln',
    runHook: async () => ({ successes: [], failures: [] }),
    scopedEnvVar: () => undefined,
    scopedEnvVarKey: (name) => `KILN_${name}`,
    scopedEnvVarKeys: () => [],
  };
  return asked as OclifConfig;
}
