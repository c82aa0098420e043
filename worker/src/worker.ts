import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@xvault/shared/logging.ts';
import type { WorkerConfig } from './config.ts';
import { buildDownloadServer } from './downloads/download-server.ts';
import { DownloadSessions } from './downloads/download-sessions.ts';
import { exportPresigner, exportRemover } from './downloads/export-objects.ts';
import { ExportShelf } from './downloads/export-shelf.ts';
import { RestoreJournal } from './engines/archive/restore-journal.ts';
import { checkHandlers } from './handlers/check-handlers.ts';
import { createHandlers } from './handlers/handlers.ts';
import { consumeLanes, type LaneConsumer } from './lanes/consumer.ts';
import { HubClient } from './lanes/hub-client.ts';
import { LeaseKeeper } from './lanes/lease-keeper.ts';
import { register } from './lanes/registration.ts';
import { createLocalFsStorage } from './storage/local-fs.ts';
import { Sweeping } from './sweeping.ts';
import { workerVersion } from './version.ts';
import { WorkerState } from './worker-state.ts';

export interface RunningWorker {
  readonly workerId: string;
  /** Stops claiming, lets runs end within the grace, hands the rest back, and closes everything. */
  stop(): Promise<void>;
}

/** Handing back means aborting children and telling the Hub; more than this is a fault. */
const handBackMs = 20_000;

/** Builds and starts a worker; `signal` ends the wait for a Hub that does not answer. */
export async function startWorker(config: WorkerConfig, logger: Logger, signal: AbortSignal): Promise<RunningWorker> {
  const state = await WorkerState.open(config.XVAULT_WORKER_DATA_DIR);
  const workerId = await state.workerId(config.XVAULT_WORKER_ID);
  const hub = new HubClient(config.XVAULT_HUB_URL);
  const storage = createLocalFsStorage(config.XVAULT_STORAGE_DIR);
  const shelf = new ExportShelf(config.XVAULT_EXPORTS_DIR, exportRemover({ config, storage, workerId }));
  // No run goes on yet: what is half-written is a killed process's.
  await shelf.removeParts();
  const journal = new RestoreJournal(join(config.XVAULT_WORKER_DATA_DIR, 'restores'));
  const handlers = createHandlers({ config, hub, storage, shelf, journal, workerId });
  checkHandlers(handlers.table);

  const downloads = buildDownloadServer({
    hub,
    shelf,
    sessions: await DownloadSessions.open(config.XVAULT_WORKER_DATA_DIR),
    resumeMs: config.XVAULT_DOWNLOAD_RESUME_MINUTES * 60_000,
    publicUrl: config.XVAULT_WORKER_PUBLIC_URL ?? null,
    presign: exportPresigner({ config, storage, workerId }),
    workerId,
    logger,
  });
  const address = await downloads.listen({ host: config.XVAULT_WORKER_HOST, port: config.XVAULT_WORKER_PORT });
  const publicUrl = config.XVAULT_WORKER_PUBLIC_URL ?? address;
  const settings = await register({
    hub,
    state,
    config,
    workerId,
    version: workerVersion,
    publicUrl,
    storage,
    signal,
    logger,
  });

  const sweeping = new Sweeping({
    storage,
    hub,
    workerId,
    shelf,
    journal,
    intervalMs: config.XVAULT_SWEEP_INTERVAL_SECONDS * 1000,
    logger,
  });
  let lanes: LaneConsumer | null = null;
  const keeper = new LeaseKeeper({
    hub,
    workerId,
    settings,
    logger,
    slotsInUse: () => lanes?.slotsInUse() ?? 0,
    diskFreeBytes: async () => (await storage.space()).freeBytes,
    onDrain: (drain) => {
      lanes?.drain(drain).catch((error: unknown) => logger.warn({ err: error, drain }, 'draining did not succeed'));
    },
  });
  const consumer = consumeLanes({
    redisUrl: config.XVAULT_REDIS_URL,
    pool: config.XVAULT_POOL,
    workerId,
    slots: config.XVAULT_SLOTS,
    logger,
    executor: { hub, keeper, handlers: handlers.table, workerId, settings, logger, onLitter: () => sweeping.soon() },
  });
  lanes = consumer;
  keeper.start();
  sweeping.start();
  logger.info({ workerId, downloads: address }, 'worker ready');

  return {
    workerId,
    async stop() {
      await consumer.stopClaiming();
      await untilIdle(keeper, config.XVAULT_DRAIN_GRACE_SECONDS * 1000);
      for (const run of keeper.runs) run.stop('handed_back');
      await untilIdle(keeper, handBackMs);
      await consumer.close();
      await keeper.stop();
      await sweeping.stop();
      await downloads.close();
      await handlers.close();
      await state.close();
    },
  };
}

async function untilIdle(keeper: LeaseKeeper, limitMs: number): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (keeper.runs.length > 0 && performance.now() < endMs) await sleep(100);
}
