/** For tests: the whole platform, as a customer meets it, in a folder of its own. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { locator } from '@xvault/shared/snapshots.ts';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { followRun, type RunView, runView } from '../api/runs.ts';
import { type Platform, type PlatformOptions, startPlatform } from '../platform/start-platform.ts';

const run = promisify(execFile);
const created = z.object({ id: z.string() });
const event = z.object({
  id: z.number(),
  type: z.string(),
  level: z.string(),
  code: z.string(),
  message: z.string(),
  params: z.record(z.string(), z.unknown()),
});
const snapshot = z.object({ id: z.string(), status: z.string(), locator, validation_status: z.string() });

export interface Customer {
  readonly api: ApiClient;
  readonly tenantId: string;
  source(body: { type: string; config: unknown; secret?: unknown }): Promise<string>;
  job(sourceId: string): Promise<string>;
  /** Starts a backup and waits for its end, whatever that is. */
  backUp(jobId: string): Promise<RunView>;
  startBackup(jobId: string): Promise<string>;
  /** Waits for a run's end, whatever that is. */
  ended(runId: string): Promise<RunView>;
  post(path: string, body: unknown): Promise<RunView>;
  /** All events of a run, with what they say. */
  events(runId: string): Promise<z.infer<typeof event>[]>;
  snapshot(id: string): Promise<z.infer<typeof snapshot>>;
}

export interface E2e {
  /** A folder that the customer may back up from and restore to. */
  readonly folder: string;
  readonly platform: Platform;
  readonly customer: Customer;
  /** Everything that is below the worker's storage, but for the directories of tenants and sources. */
  stored(): Promise<string[]>;
  stop(): Promise<void>;
}

/** Short intervals, so that tests need not wait as long as customers may. */
export const quickHub = {
  XVAULT_LEASE_MS: '8000',
  XVAULT_LEASE_GRACE_MS: '500',
  XVAULT_LEASE_CHECK_INTERVAL_MS: '300',
  XVAULT_HEARTBEAT_ACTIVE_MS: '200',
  XVAULT_HEARTBEAT_IDLE_MS: '1000',
  XVAULT_RETRY_BASE_MS: '100',
  XVAULT_RETRY_MAX_MS: '500',
  XVAULT_LOGIN_LIMIT_PER_MINUTE: '1000',
  XVAULT_API_LIMIT_PER_MINUTE: '100000',
};

export async function startE2e(options: Partial<PlatformOptions> = {}): Promise<E2e> {
  const parent = await realpath(await mkdtemp(join(tmpdir(), 'xvault-e2e-')));
  const [folder, dataDir] = [join(parent, 'customer'), join(parent, 'platform')];
  await mkdir(folder, { mode: 0o755 });
  const platform = await startPlatform({
    dataDir,
    localRoots: [folder],
    restoreRoots: [folder],
    ...options,
    extraHub: { ...quickHub, ...options.extraHub },
    extraWorker: { XVAULT_SWEEP_INTERVAL_SECONDS: '1', ...options.extraWorker },
  });
  const operator = await ApiClient.signIn(platform.hubUrl, platform.operator.email, platform.operator.password);
  return {
    folder,
    platform,
    customer: await makeCustomer(operator, 'customer', [folder]),
    stored: () => storedBelow(options.extraWorker?.XVAULT_STORAGE_DIR ?? join(dataDir, 'backups')),
    async stop() {
      await platform.stop();
      // Paths may be longer than Node's own rm can name.
      await run('rm', ['-rf', parent]);
    },
  };
}

export async function makeCustomer(operator: ApiClient, name: string, localPaths: string[]): Promise<Customer> {
  const owner = { email: `${name}@e2e.localhost`, password: 'correct horse battery staple' };
  const tenant = await operator.post('/api/v1/tenants', { name, local_paths: localPaths, owner }, created);
  const api = await ApiClient.signIn(operator.baseUrl, owner.email, owner.password);
  const ended = (runId: string) => followRun(api, runId, () => undefined, AbortSignal.timeout(400_000));
  const startBackup = async (jobId: string) => (await api.post(`/api/v1/jobs/${jobId}/runs`, {}, created)).id;
  return {
    api,
    tenantId: tenant.id,
    ended,
    startBackup,
    source: async (body) => (await api.post('/api/v1/sources', { name: 'source', ...body }, created)).id,
    async job(sourceId) {
      const body = { name: 'destination', type: 'local_fs', config: {} };
      const destination = await api.post('/api/v1/destinations', body, created);
      const ids = { source_id: sourceId, destination_id: destination.id };
      return (await api.post('/api/v1/jobs', { name: 'job', ...ids, engine: 'archive', max_attempts: 1 }, created)).id;
    },
    backUp: async (jobId) => ended(await startBackup(jobId)),
    async post(path, body) {
      const answer = await api.post(path, body, z.union([runView, z.object({ run: runView })]));
      return ended('run' in answer ? answer.run.id : answer.id);
    },
    async events(runId) {
      const page = z.object({ items: z.array(event) });
      return (await api.get(`/api/v1/runs/${runId}/events?limit=1000`, page)).items;
    },
    snapshot: (id) => api.get(`/api/v1/snapshots/${id}`, snapshot),
  };
}

async function storedBelow(root: string): Promise<string[]> {
  const found = await readdir(root, { recursive: true });
  return found.filter((path) => /\/snapshots\/./.test(path)).sort();
}
