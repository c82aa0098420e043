import { nowMicros, type WorkerEvent } from '@xvault/shared/events.ts';
import { newId } from '@xvault/shared/ids.ts';
import {
  capability,
  type FinishResponse,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type OutcomeInput,
  type Progress,
  type RegisterRequest,
  type StartResponse,
} from '@xvault/shared/internal-api.ts';
import { laneWorkerOptions, poolLane, redisPrefix, type Ticket, ticket, workerLane } from '@xvault/shared/lanes.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import { Worker } from 'bullmq';
import type { FastifyInstance } from 'fastify';
import { Redis } from 'ioredis';
import type { AppDeps } from '../deps.ts';

export interface Answer<T = Readonly<Record<string, unknown>>> {
  readonly status: number;
  readonly body: T;
}

/** Drives the Hub by the workers' HTTP contract and the lanes, step by step, as the test says. */
export interface ScriptedWorker {
  readonly id: string;
  readonly token: string;
  post<T>(path: string, body: unknown, token?: string): Promise<Answer<T>>;
  /** As the same process again, unless `more` names another `boot_id`. */
  register(more?: Partial<RegisterRequest>): Promise<Answer>;
  /** The next ticket of the pool's lane, or of its own; null when there is none. Consumes it. */
  takeTicket(lane?: 'pool' | 'own'): Promise<(Ticket & { readonly kind: string }) | null>;
  start(runId: string, attempt: number, nonce?: string): Promise<Answer<StartResponse>>;
  heartbeat(reports: readonly Partial<Report>[]): Promise<Answer<HeartbeatResponse>>;
  finish(
    started: StartResponse,
    outcome: OutcomeInput,
    events?: readonly WorkerEvent[],
  ): Promise<Answer<FinishResponse>>;
  close(): Promise<void>;
}
type Report = HeartbeatRequest['runs'][number];

interface Options {
  readonly id?: string;
  readonly pool?: string;
  readonly slots?: number;
}

export async function scriptedWorker(
  hub: { readonly app: FastifyInstance; readonly deps: AppDeps },
  { id = `worker-${newId()}`, pool = 'default', slots = 2 }: Options = {},
): Promise<ScriptedWorker> {
  const lanes = new Map<string, Worker>();
  const bootId = newId();
  const redis = new Redis(hub.deps.config.redisUrl, { maxRetriesPerRequest: null, lazyConnect: true });
  redis.on('error', (error) => hub.deps.logger.debug({ err: error }, 'redis of a scripted worker'));

  async function post<T>(path: string, body: unknown, token?: string): Promise<Answer<T>> {
    const response = await hub.app.inject({
      method: 'POST',
      url: `/internal/v1${path}`,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      payload: body as object,
    });
    return { status: response.statusCode, body: response.json() };
  }

  const enrolled = await post<{ worker_token: string }>(
    '/workers/enrol',
    { worker_id: id, name: id },
    hub.deps.config.enrolmentToken,
  );
  if (enrolled.status !== 200) throw new Error(`enrolment failed: ${JSON.stringify(enrolled.body)}`);
  const token = enrolled.body.worker_token;

  const worker: ScriptedWorker = {
    id,
    token,
    post: (path, body, other = token) => post(path, body, other),
    register: (more = {}) =>
      post(
        '/workers/register',
        {
          worker_id: id,
          boot_id: bootId,
          pool,
          slots,
          capabilities: capability.options,
          public_url: 'http://127.0.0.1:9',
          host: `${id}.example.com`,
          version: '0.1.0',
          disk_free_bytes: 1e12,
          disk_total_bytes: 2e12,
          ...more,
        },
        token,
      ),
    async takeTicket(kind = 'pool') {
      const name = kind === 'pool' ? poolLane(pool) : workerLane(id);
      const lane =
        lanes.get(name) ??
        new Worker(name, null, {
          ...laneWorkerOptions,
          connection: redis,
          prefix: redisPrefix,
          autorun: false,
        });
      lanes.set(name, lane);
      const job = await lane.getNextJob(randomToken(), { block: false });
      if (job === undefined) return null;
      await job.moveToCompleted(null, job.token ?? '', false);
      return { ...ticket.parse(job.data), kind: job.name };
    },
    start: (runId, attempt, nonce = randomToken()) =>
      post(`/runs/${runId}/start`, { attempt, worker_id: id, nonce }, token),
    heartbeat: (reports) =>
      post(
        '/heartbeat',
        {
          worker_id: id,
          slots_in_use: reports.length,
          load_1m: 0.5,
          disk_free_bytes: 5e11,
          runs: reports.map((report) => ({ progress: null, events: [], ...report })),
        },
        token,
      ),
    finish: (started, outcome, events = []) =>
      post(
        `/runs/${started.run_id}/finish`,
        { epoch: started.epoch, lease_token: started.lease_token, progress: null, events, outcome },
        token,
      ),
    async close() {
      await Promise.all([...lanes.values()].map((lane) => lane.close(true)));
      redis.disconnect();
    },
  };
  const registered = await worker.register();
  if (registered.status !== 200) throw new Error(`registration failed: ${JSON.stringify(registered.body)}`);
  return worker;
}

/** The part of a heartbeat that proves the lease. */
export function lease({ run_id, epoch, lease_token }: StartResponse): Pick<Report, 'run_id' | 'epoch' | 'lease_token'> {
  return { run_id, epoch, lease_token };
}

export function itemEvent(seq: number, item = `file-${seq}`): WorkerEvent {
  const shape = { type: 'warning', level: 'warn', code: 'ITEM_VANISHED', message_id: 'item_vanished' } as const;
  return { seq, ts: nowMicros(), ...shape, params: { item } };
}

export function someProgress(pct: number): Progress {
  return {
    progress_pct: pct,
    bytes_total: 1000,
    bytes_transferred: pct * 10,
    objects_total: 10,
    objects_transferred: Math.floor(pct / 10),
    speed_bytes_per_sec: 100,
    eta_seconds: 5,
    current_item: `item at ${pct}`,
  };
}

const base = { warnings: 0, log_excerpt: null };
export const outcomes = {
  failed: (error_code: Extract<OutcomeInput, { status: 'failed' }>['error_code']): OutcomeInput => ({
    ...base,
    status: 'failed',
    error_code,
    error_params: {},
    error_detail: 'for operators',
  }),
  completed: (result: Extract<OutcomeInput, { status: 'completed' }>['result'], warnings = 0): OutcomeInput => ({
    ...base,
    status: 'completed',
    result,
    warnings,
  }),
  cancelled: { ...base, status: 'cancelled' } as OutcomeInput,
  handedBack: { ...base, status: 'handed_back' } as OutcomeInput,
};
