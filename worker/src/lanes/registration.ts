import { hostname } from 'node:os';
import { newId } from '@xvault/shared/ids.ts';
import type { Capability, RegisterRequest, RegisterResponse } from '@xvault/shared/internal-api.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import type { WorkerConfig } from '../config.ts';
import type { SnapshotStorage } from '../storage/storage.ts';
import type { WorkerState } from '../worker-state.ts';
import { retrying } from './backoff.ts';
import { type HubClient, HubRefused, HubUnreachable } from './hub-client.ts';

export interface RegistrationDeps {
  readonly hub: HubClient;
  readonly state: WorkerState;
  readonly config: WorkerConfig;
  readonly workerId: string;
  readonly version: string;
  readonly publicUrl: string;
  readonly storage: SnapshotStorage;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/**
 * Makes this worker known to the Hub: with the kept token, or by enrolling when there is none or it is no longer good.
 * Waits for a Hub that does not answer; throws HubRefused when the enrolment token is wrong.
 */
export async function register(deps: RegistrationDeps): Promise<RegisterResponse> {
  const kept = await deps.state.token();
  if (kept === null) await enrol(deps);
  else deps.hub.useToken(kept);
  const request = await registerRequest(deps);
  try {
    return await patiently(deps, () => deps.hub.register(request));
  } catch (error) {
    if (!(error instanceof HubRefused && error.status === 401)) throw error;
    deps.logger.warn('the kept worker token is no longer good; enrolling again');
    await enrol(deps);
    return patiently(deps, () => deps.hub.register(request));
  }
}

async function enrol(deps: RegistrationDeps): Promise<void> {
  const token = await patiently(deps, () =>
    deps.hub.enrol(deps.config.XVAULT_ENROLMENT_TOKEN, deps.workerId, hostname()),
  );
  await deps.state.keepToken(token);
  deps.hub.useToken(token);
}

async function registerRequest(deps: RegistrationDeps): Promise<RegisterRequest> {
  const space = await deps.storage.space();
  return {
    worker_id: deps.workerId,
    // One for all tries of this process: the Hub takes another one for a restart.
    boot_id: newId(),
    pool: deps.config.XVAULT_POOL,
    slots: deps.config.XVAULT_SLOTS,
    capabilities: capabilities(deps.config),
    public_url: deps.publicUrl,
    host: hostname(),
    version: deps.version,
    disk_free_bytes: space.freeBytes,
    disk_total_bytes: space.totalBytes,
  };
}

function capabilities(config: WorkerConfig): Capability[] {
  const writes: Capability[] = ['backup', 'probe', 'retention'];
  return config.XVAULT_VAULT_IDENTITY === undefined
    ? writes
    : [...writes, 'restore', 'validation', 'maintenance', 'vault'];
}

function patiently<T>(deps: RegistrationDeps, action: () => Promise<T>): Promise<T> {
  return retrying(
    action,
    (error) => error instanceof HubUnreachable,
    deps.signal,
    (error) => deps.logger.warn({ err: error }, 'waiting for the Hub'),
  );
}
