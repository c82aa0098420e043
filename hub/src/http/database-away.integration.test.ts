import { startPostgres } from '@xvault/shared/testing/postgres.ts';
import { sql } from 'kysely';
import { expect, it, vi } from 'vitest';
import { operatorClient } from '../testing/api-client.ts';
import { startTestHub } from '../testing/test-hub.ts';

it('while the database is away requests are answered 503 with Retry-After, and again once it is back', async () => {
  const server = await startPostgres();
  const hub = await startTestHub({ databaseUrl: await server.createDatabase() });
  try {
    const operator = await operatorClient(hub);
    expect((await operator('GET', '/api/v1/workers')).status).toBe(200);
    // The server runs without fsync, so that it forgets what no checkpoint has kept.
    await sql`checkpoint`.execute(hub.db);
    process.kill(server.pid, 'SIGQUIT');
    const database = async () => (await operator('GET', '/readyz')).body.database;
    await vi.waitUntil(async () => (await database()) === 'unavailable', { timeout: 30_000 });
    for (let count = 0; count < 3; count += 1) {
      const answer = await operator('GET', '/api/v1/workers');
      expect(answer).toMatchObject({ status: 503, body: { code: 'SERVICE_UNAVAILABLE' } });
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    }
    const ready = await operator('GET', '/readyz');
    expect(ready).toMatchObject({ status: 503, body: { database: 'unavailable', redis: 'ok' } });
    await server.restart();
    expect((await operator('GET', '/api/v1/workers')).status).toBe(200);
    expect((await operator('GET', '/readyz')).status).toBe(200);
  } finally {
    await hub.close();
    await server.stop();
  }
});
