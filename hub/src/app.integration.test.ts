import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestHub, type TestHub } from './testing/test-hub.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub.close());

it('keeps idle connections longer than the minute for which load balancers commonly keep theirs', async () => {
  const address = await hub.app.listen({ host: '127.0.0.1', port: 0 });
  const { status, headers } = await fetch(`${address}/healthz`);
  expect(status).toBe(200);
  const [, seconds] = /^timeout=(\d+)$/.exec(headers.get('keep-alive') ?? '') ?? [];
  expect(Number(seconds)).toBeGreaterThan(60);
  expect(hub.app.server.keepAliveTimeout).toBe(Number(seconds) * 1000);
});
