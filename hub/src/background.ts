import type { AppDeps } from './deps.ts';
import { admitRuns } from './lifecycle/admission.ts';
import { sendOutbox } from './lifecycle/outbox.ts';
import { reconcileLeases, reconcileRest } from './lifecycle/reconciler.ts';
import { claimRound } from './lifecycle/rounds.ts';
import { outboxIntervalMs } from './lifecycle/settings.ts';
import { startLoop } from './loops/loop.ts';
import { raiseDeadlineAlarms } from './scheduling/deadlines.ts';
import { runSchedulerPass } from './scheduling/scheduler.ts';
import { keepSchedules } from './scheduling/upkeep.ts';

/** How often all schedules are looked through for what no tick would find. */
const scheduleUpkeepMs = 3_600_000;

export interface Background {
  /** Ends after the rounds under way. */
  stop(): Promise<void>;
}

/** Starts what a Hub does unasked: admission, tickets, and putting right what went wrong. Any number of Hubs may do so. */
export function startBackground(deps: AppDeps): Background {
  const { config, lanes, hubEvents, logger } = deps;
  const { db } = deps.open;

  const outbox = startLoop('outbox', outboxIntervalMs, logger, async () => {
    await sendOutbox(db, lanes);
    return { more: false };
  });
  const admission = startLoop('admission', config.admissionIntervalMs, logger, async () => {
    const { admitted, more } = await admitRuns(db, config);
    if (admitted > 0) outbox.wake();
    return { more };
  });
  const leases = startLoop('leases', config.leaseCheckIntervalMs, logger, async (signal) => {
    if (await claimRound(db, 'leases', config.leaseCheckIntervalMs)) {
      await reconcileLeases({ db, lanes, settings: config, logger, signal });
      outbox.wake();
    }
    return { more: false };
  });
  const rest = startLoop('reconciler', config.reconcileIntervalMs, logger, async (signal) => {
    if (await claimRound(db, 'rest', config.reconcileIntervalMs)) {
      await reconcileRest({ db, lanes, settings: config, logger, signal });
      outbox.wake();
    }
    return { more: false };
  });
  const scheduler = startLoop('scheduler', config.schedulerIntervalMs, logger, async () => {
    const [fired, overdue] = [await runSchedulerPass(db, logger), await raiseDeadlineAlarms(db, logger)];
    return { more: fired.more || overdue.more };
  });
  const schedules = startLoop('schedules', scheduleUpkeepMs, logger, async (signal) => {
    if (await claimRound(db, 'schedules', scheduleUpkeepMs)) await keepSchedules(db, logger, signal);
    return { more: false };
  });
  const unsubscribe = hubEvents.onQueued(admission.wake);

  return {
    async stop() {
      unsubscribe();
      await Promise.all([admission, outbox, leases, rest, scheduler, schedules].map((loop) => loop.stop()));
    },
  };
}
