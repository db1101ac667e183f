import { defineConfig } from 'vitest/config';

/** Tests of the built command: they need dist/ installed, base images and a test user. */
const FEATURES = [
  'test/features/**/*.test.ts',
  'test/language/**/*.test.ts',
  'test/{contexts,remote,checks}/**/*.test.ts',
];

const shared = { testTimeout: 60_000, hookTimeout: 300_000, pool: 'forks' } as const;

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: FEATURES,
          globalSetup: ['test/setup/host.ts'],
        },
      },
      {
        test: {
          ...shared,
          name: 'features',
          include: FEATURES,
          testTimeout: 180_000,
          globalSetup: ['test/setup/host.ts', 'test/setup/kiln.ts'],
        },
      },
    ],
  },
});
