import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{shared,hub,worker,scripts}/src/**/*.test.ts', 'scripts/bootstrap/**/*.test.ts'],
    globalSetup: ['shared/src/testing/vitest-servers.ts'],
    pool: 'forks',
    // Files of one run share two servers and few cores.
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Says when a wait is in vain, not how fast something is.
    expect: { poll: { timeout: 20_000 } },
  },
});
