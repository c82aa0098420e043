import { setTimeout as sleep } from 'node:timers/promises';
import { it } from 'vitest';
import { startBackground } from '../background.ts';
import { scheduledJob, storyOf } from '../testing/scheduled-job.ts';
import { databaseKinds, startTestHub } from '../testing/test-hub.ts';

it.each(databaseKinds)(
  'on %s a running Hub fires what is due, watches deadlines and keeps schedules',
  async (database) => {
    const hub = await startTestHub({ database, config: { schedulerIntervalMs: 20 } });
    const schedule = { type: 'cron', expression: '* * * * *', start_deadline_minutes: 1, catch_up: 'once' };
    const twoMinutesAgo = new Date(Math.floor(Date.now() / 60_000 - 2) * 60_000).toISOString();
    const { jobId } = await scheduledJob(hub.db, schedule, twoMinutesAgo);
    const asleep = await scheduledJob(hub.db, { type: 'daily', time: '02:00' }, '2099-01-01T02:00Z');
    const background = startBackground(hub.deps);
    try {
      await until(async () => (await storyOf(hub.db, jobId)).runs.length > 0);
      // No worker is there to start it; as if its deadline had passed.
      await hub.db
        .updateTable('schedule_fires')
        .set({ start_deadline_at: twoMinutesAgo })
        .where('outcome', '=', 'run')
        .execute();
      await until(async () => {
        const alarms = await hub.db
          .selectFrom('run_events')
          .select('id')
          .where('code', '=', 'RUN_START_OVERDUE')
          .execute();
        return alarms.length > 0;
      });
      await until(async () => ((await storyOf(hub.db, asleep.jobId)).next ?? '') < '2099');
    } finally {
      await background.stop();
      await hub.close();
    }
  },
);

/** Waits for something that must come; the test's own limit ends it. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(20);
}
