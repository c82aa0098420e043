import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** These take minutes; begun last, they would run alone at the end. */
const longFirst = [
  'e2e/trees',
  'chaos/chaos',
  'demo/demo',
  'handlers/sync-web',
  'sync/crashes',
  'sftp/loss',
  'e2e/sync-interruptions',
  'handlers/sync-outage',
  'archive/rewrap-copy',
  'e2e/s3',
  'handlers/sync-interruptions',
  'start.integration',
];

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = (file: TestSpecification) => {
      const at = longFirst.findIndex((part) => file.moduleId.includes(part));
      return at < 0 ? longFirst.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: ['{shared,hub,worker,scripts}/src/**/*.test.ts', 'scripts/bootstrap/**/*.test.ts'],
    globalSetup: ['shared/src/testing/vitest-servers.ts'],
    pool: 'forks',
    // Two cores' worth of work, and one more because many tests wait.
    maxWorkers: 3,
    sequence: { sequencer: LongFirst },
    testTimeout: 120_000,
    // These are whole servers on few cores: what fails once beside the others and holds the second time is told as flaky, and passes.
    retry: process.env.CI === 'true' ? 1 : 0,
    hookTimeout: 120_000,
    // Says when a wait is in vain, not how fast something is.
    expect: { poll: { timeout: 20_000 } },
  },
});
