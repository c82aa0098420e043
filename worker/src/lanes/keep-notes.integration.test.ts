import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { newId } from '@xvault/shared/ids.ts';
import type { StartResponse } from '@xvault/shared/internal-api.ts';
import { runSpec } from '@xvault/shared/run-kinds.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { ActiveRun } from './active-run.ts';
import { HubClient, HubRefused, HubUnreachable } from './hub-client.ts';
import { keepNotes } from './keep-notes.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A server that answers as it is told to, for how the way to a Hub fails. */
async function hubAnswering(answer: RequestListener): Promise<HubClient> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return new HubClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

function runWithLease(leaseMs: number): ActiveRun {
  const start: StartResponse = {
    run_id: newId(),
    tenant_id: 'tenant',
    kind: 'probe',
    attempt: 1,
    epoch: 3,
    lease_token: 'lease-token',
    lease_ms: leaseMs,
    spec: runSpec.parse({
      kind: 'probe',
      probe: { type: 'destination', destination_id: newId(), destination: { type: 'local_fs', config: {} } },
    }),
    snapshot_id: null,
    source_secret_sealed: null,
    destination_secret_sealed: null,
    target_secret_sealed: null,
    tenant_identities_sealed: [],
    run_identity_sealed: null,
    bandwidth_limit_bps: null,
  };
  return new ActiveRun(start, performance.now(), 100);
}

const bodyOf = (request: IncomingMessage) => json(request) as Promise<Record<string, unknown>>;

describe('notes of a run', () => {
  it('reach the Hub though connections break and answers are no answers', async () => {
    const seen: Record<string, unknown>[] = [];
    const hub = await hubAnswering(async (request, response) => {
      seen.push(await bodyOf(request));
      if (seen.length === 1) return void request.socket.destroy();
      if (seen.length === 2) return void response.writeHead(502).end('<html>');
      response.writeHead(200).end(JSON.stringify({ generation: 2 }));
    });
    const run = runWithLease(90_000);
    run.stop('cancelled');
    const retries: unknown[] = [];
    const kept = await keepNotes(hub, run, { diagnostics: { a: true } }, (error) => retries.push(error));
    expect(kept).toEqual({ generation: 2 });
    const said = { epoch: 3, lease_token: 'lease-token', diagnostics: { a: true } };
    expect(seen).toEqual([said, said, said]);
    expect(retries).toHaveLength(2);
  });

  it('are given up when the lease is over, and when the Hub says no', async () => {
    let asked = 0;
    const away = await hubAnswering((_, response) => {
      asked += 1;
      response.writeHead(503).end('{}');
    });
    await expect(keepNotes(away, runWithLease(300), {}, () => undefined)).rejects.toThrow(HubUnreachable);
    expect(asked).toBeGreaterThan(0);
    const refusing = await hubAnswering((_, response) => {
      asked += 1;
      response.writeHead(409).end('{"code":"ATTEMPT_SUPERSEDED"}');
    });
    asked = 0;
    await expect(keepNotes(refusing, runWithLease(90_000), {}, () => undefined)).rejects.toThrow(HubRefused);
    expect(asked).toBe(1);
  });
});
