import { setTimeout as sleep } from 'node:timers/promises';
import type { AppDeps } from './deps.ts';
import { admitRuns } from './lifecycle/admission.ts';
import { listPools } from './lifecycle/fleet.ts';
import { sendOutbox, sendTickets } from './lifecycle/outbox.ts';
import { reconcileLeases, reconcileRest } from './lifecycle/reconciler.ts';
import { claimRound } from './lifecycle/rounds.ts';
import { outboxIntervalMs } from './lifecycle/settings.ts';
import { lookAtTickets } from './lifecycle/tickets.ts';
import { startLoop } from './loops/loop.ts';
import { createTicketHints } from './queues/ticket-hints.ts';
import { raiseDeadlineAlarms } from './scheduling/deadlines.ts';
import { runSchedulerPass } from './scheduling/scheduler.ts';
import { keepSchedules } from './scheduling/upkeep.ts';

const admissionGatherMs = 5;
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
    const { tickets, more } = await admitRuns(db, config, { claim: true });
    await sendTickets(db, lanes, tickets);
    // Runs that come in the meantime are admitted together: a round costs much the same for one as for many.
    if (tickets.length > 0 && !more) await sleep(admissionGatherMs);
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
  /** Runs whose tickets are said to have gone wrong. */
  const troubled = new Set<string>();
  const tickets = startLoop('tickets', config.reconcileIntervalMs, logger, async (signal) => {
    const pools = await listPools(db);
    hints.follow(pools);
    const runIds = [...troubled];
    troubled.clear();
    await lookAtTickets({ db, lanes, settings: config, logger, signal }, runIds);
    if (runIds.length > 0) outbox.wake();
    return { more: false };
  });
  const hints = createTicketHints(config.redisUrl, logger, (runId) => {
    troubled.add(runId);
    tickets.wake();
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
      await Promise.all([admission, outbox, leases, rest, tickets, scheduler, schedules].map((loop) => loop.stop()));
      await hints.close();
    },
  };
}
