import type { HubConfig } from '../config.ts';

/** What the life of runs is measured by: a part of the Hub's configuration. */
export type LifecycleSettings = Pick<
  HubConfig,
  | 'jwtSecret'
  | 'leaseMs'
  | 'leaseGraceMs'
  | 'eventMaxPerRun'
  | 'eventRetentionDays'
  | 'globalMaxRuns'
  | 'poolMaxRuns'
  | 'tenantMaxRuns'
  | 'sourceHostMaxRuns'
  | 'destinationMaxRuns'
  | 'workerMinFreeDiskBytes'
  | 'workerSilentMs'
  | 'workerOfflineLimitMs'
  | 'dispatchedTimeoutMs'
  | 'retryBaseMs'
  | 'retryMaxMs'
  | 'admissionIntervalMs'
  | 'leaseCheckIntervalMs'
  | 'reconcileIntervalMs'
>;

/** Runs given to a lane for each slot of its live workers: a few wait in Redis so that no slot does. */
export const dispatchPerSlot = 1.5;
/** A listing of files that nobody fetched is cleared after this. */
export const probeResultKeptMs = 5 * 60_000;
/** Tickets that a lane did not take are tried again after this at the latest. */
export const outboxIntervalMs = 1_000;
