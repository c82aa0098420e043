import { setTimeout as sleep } from 'node:timers/promises';
import { nowMicros, type WorkerEvent } from '@xvault/shared/events.ts';
import { newId } from '@xvault/shared/ids.ts';
import {
  enrolResponse,
  type HeartbeatRequest,
  heartbeatResponse,
  type RegisterRequest,
  registerResponse,
  type StartResponse,
  startResponse,
} from '@xvault/shared/internal-api.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import type { z } from 'zod';

/** Speaks the workers' HTTP contract and does no work. */
export interface DrivenWorker {
  readonly runIds: readonly string[];
  /** How long each heartbeat took. */
  readonly answerMs: number[];
  /** Takes the run as soon as it is dispatched. */
  start(runId: string, signal: AbortSignal): Promise<void>;
  /** Reports on all its runs every `everyMs` until the signal; rejects when the Hub takes one away. */
  beat(everyMs: number, offsetMs: number, signal: AbortSignal): Promise<void>;
}

interface Held {
  readonly start: StartResponse;
  beats: number;
  seq: number;
}

/** What an update adds: with it a backup takes 400 s and tells of every other update in an event, as real ones do. */
const pctPerBeat = 0.5;

export async function driveWorker(
  hubUrl: string,
  enrolmentToken: string,
  id: string,
  slots: number,
): Promise<DrivenWorker> {
  const held = new Map<string, Held>();
  const answerMs: number[] = [];
  let token = enrolmentToken;

  const send = (path: string, body: unknown): Promise<Response> =>
    fetch(`${hubUrl}/internal/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
    });
  const post = async <T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T> => {
    const response = await send(path, body);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return schema.parse(await response.json());
  };

  token = (await post('/workers/enrol', { worker_id: id, name: id }, enrolResponse)).worker_token;
  const registration: RegisterRequest = {
    worker_id: id,
    boot_id: newId(),
    pool: 'default',
    slots,
    capabilities: ['backup'],
    public_url: 'http://127.0.0.1:9',
    host: id,
    version: '0',
    disk_free_bytes: 2 ** 40,
    disk_total_bytes: 2 ** 41,
  };
  await post('/workers/register', registration, registerResponse);

  async function report(): Promise<void> {
    const runs = [...held.values()].map(reportOf);
    const body: HeartbeatRequest = {
      worker_id: id,
      slots_in_use: runs.length,
      load_1m: 1,
      disk_free_bytes: 2 ** 40,
      runs,
    };
    const sentMs = performance.now();
    const answer = await post('/heartbeat', body, heartbeatResponse);
    answerMs.push(performance.now() - sentMs);
    const lost = answer.runs.filter((run) => run.action !== 'continue');
    if (lost.length > 0) throw new Error(`${lost.length} runs of ${id} were taken away`);
  }

  return {
    get runIds() {
      return [...held.keys()];
    },
    answerMs,
    async start(runId, signal) {
      const nonce = randomToken();
      for (;;) {
        const response = await send(`/runs/${runId}/start`, { attempt: 1, worker_id: id, nonce });
        const body: unknown = await response.json();
        if (response.ok) {
          held.set(runId, { start: startResponse.parse(body), beats: 0, seq: 0 });
          return;
        }
        if (response.status !== 409) throw new Error(`start: ${response.status} ${JSON.stringify(body)}`);
        await sleep(50, undefined, { signal });
      }
    },
    async beat(everyMs, offsetMs, signal) {
      const firstMs = performance.now() + offsetMs;
      for (let count = 0; ; count += 1) {
        try {
          await sleep(Math.max(0, firstMs + count * everyMs - performance.now()), undefined, { signal });
        } catch (error) {
          if (signal.aborted) return;
          throw error;
        }
        await report();
      }
    },
  };
}

function reportOf(run: Held): HeartbeatRequest['runs'][number] {
  run.beats += 1;
  const pct = Math.min(99.5, run.beats * pctPerBeat);
  const bytes = Math.floor(pct * 1e8);
  const { run_id, epoch, lease_token } = run.start;
  return {
    run_id,
    epoch,
    lease_token,
    progress: {
      progress_pct: pct,
      bytes_total: 1e10,
      bytes_transferred: bytes,
      objects_total: 100_000,
      objects_transferred: Math.floor(pct * 1000),
      speed_bytes_per_sec: 25_000_000,
      eta_seconds: Math.ceil((1e10 - bytes) / 25_000_000),
      current_item: `var/www/html/wp-content/uploads/2026/11/image-${run.beats}.jpg`,
    },
    events: Number.isInteger(pct) ? [progressEvent(run, pct, bytes)] : [],
  };
}

function progressEvent(run: Held, pct: number, bytes: number): WorkerEvent {
  run.seq += 1;
  const shape = { type: 'progress', level: 'info', code: 'PROGRESS', message_id: 'run_progress' } as const;
  return { seq: run.seq, ts: nowMicros(), ...shape, params: { pct, bytes, bytes_total: 1e10 } };
}
