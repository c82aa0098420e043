/** Short lives for everything, so that a fault is noticed, and healed, in seconds. */
export const leaseMs = 6_000;

export const hubSettings: Readonly<Record<string, string>> = {
  XVAULT_LEASE_MS: String(leaseMs),
  XVAULT_LEASE_GRACE_MS: '500',
  XVAULT_LEASE_CHECK_INTERVAL_MS: '500',
  XVAULT_HEARTBEAT_ACTIVE_MS: '500',
  XVAULT_HEARTBEAT_IDLE_MS: '1000',
  XVAULT_PROGRESS_INTERVAL_MS: '500',
  XVAULT_ADMISSION_INTERVAL_MS: '100',
  XVAULT_RECONCILE_INTERVAL_MS: '2000',
  XVAULT_DISPATCHED_TIMEOUT_MS: '4000',
  XVAULT_WORKER_SILENT_MS: '6000',
  XVAULT_WORKER_OFFLINE_LIMIT_MS: '90000',
  XVAULT_RETRY_BASE_MS: '200',
  XVAULT_RETRY_MAX_MS: '2000',
  // So that a disk is found to be full by writing to it, and restores from a nearly full one go on.
  XVAULT_WORKER_MIN_FREE_DISK_BYTES: '0',
  XVAULT_LOGIN_LIMIT_PER_MINUTE: '100000',
  XVAULT_API_LIMIT_PER_MINUTE: '1000000',
};

export const workerSettings: Readonly<Record<string, string>> = {
  XVAULT_SWEEP_INTERVAL_SECONDS: '2',
  XVAULT_DRAIN_GRACE_SECONDS: '2',
  XVAULT_COMPRESSION_THREADS: '1',
};
