import type { ErrorCode } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { entryAt, listAll, readOne } from '../testing/sources.ts';
import { type CloudPlatform, type KeptConnection, makeCloudPlatform } from './sync-cloud.test-kit.ts';

let cloud: CloudPlatform;
beforeAll(async () => {
  cloud = await makeCloudPlatform();
  cloud.providers.drive.put('a.txt', 'a');
  cloud.providers.dropboxFiles.put('a.txt', 'a');
});
afterAll(() => cloud?.stop());
beforeEach(() => {
  for (const server of [cloud.providers.google, cloud.providers.dropbox]) {
    Object.assign(server, { accessSeconds: 3600, failures: [] });
  }
});

const sourceOf = (type: KeptConnection['provider'], connection: KeptConnection): SourceConnection =>
  sourceConnection.parse({ type, config: { connection_id: connection.id } });

describe.each(['google_drive', 'dropbox'] as const)('%s: what is no word of the customer’s', (provider) => {
  const notSetUp = provider === 'dropbox' ? 'OAUTH_NOT_CONFIGURED' : 'ERR_GDRIVE_NO_CLIENT_CREDENTIALS';

  it.each<[string, { status: number; error: string }, ErrorCode, boolean]>([
    ['a wrong secret of the platform', { status: 401, error: 'invalid_client' }, notSetUp, false],
    ['an app that may not do this', { status: 400, error: 'unauthorized_client' }, notSetUp, false],
    ['an app that was deleted', { status: 401, error: 'deleted_client' }, notSetUp, false],
    ['a request that is not understood', { status: 400, error: 'invalid_request' }, 'SOURCE_UNREACHABLE', true],
    ['a proxy that forbids', { status: 403, error: '' }, 'SOURCE_UNREACHABLE', true],
    ['a proxy that says something else', { status: 200, error: 'please sign in' }, 'SOURCE_UNREACHABLE', true],
  ])('%s leaves the connection as it is', async (_, failure, code, retryable) => {
    const connection = await cloud.connect(provider);
    const server = provider === 'dropbox' ? cloud.providers.dropbox : cloud.providers.google;
    server.failures = [failure];
    const run = cloud.sync(connection, sourceOf(provider, connection), newId());
    await expect(run).rejects.toMatchObject({ code, retryable });
    expect(connection.status).toBe('active');
    const { result } = await cloud.sync(connection, sourceOf(provider, connection), newId());
    expect(result.snapshot.file_count).toBe(1);
  });
});

it('a run in which the app stops being taken leaves the connection as it is', async () => {
  const { google, drive } = cloud.providers;
  drive.put('large', Buffer.alloc(3_000_000, 'drive'));
  const connection = await cloud.connect('google_drive');
  // So short that rclone renews it for each request.
  google.accessSeconds = 9;
  cloud.providers.calls.length = 0;
  const options = { bandwidth_limit_bps: 1_000_000, transfers: 1 };
  const run = cloud.sync(connection, sourceOf('google_drive', connection), newId(), options);
  await expect.poll(() => cloud.providers.calls.length, { interval: 10 }).toBeGreaterThan(0);
  google.failures = Array.from({ length: 10_000 }, () => ({ status: 401, error: 'invalid_client' }));
  await expect(run).rejects.toMatchObject({ code: 'OAUTH_NOT_CONFIGURED', retryable: false });
  expect(connection.status).toBe('active');
});

it('a service account that stops being taken while an archive is made is told as it is at the start', async () => {
  const { accounts, google, drive } = cloud.providers;
  for (const name of ['one', 'two']) drive.put(`folder/${name}`, name);
  const { json, email } = accounts.create();
  google.accessSeconds = 9;
  const source = sourceConnection.parse({ type: 'google_drive', config: {} });
  const { context } = await cloud.contextBy(null, source, {}, { service_account_json: json });
  const session = await cloud.sources.connect(source, context.start.source_secret_sealed, context.signal, context);
  try {
    const listed = await listAll(session, context.signal);
    accounts.revoke(email);
    await expect(listAll(session, context.signal)).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
    await expect(readOne(session, entryAt(listed, 'folder/one'), context.signal)).rejects.toMatchObject({
      code: 'SOURCE_AUTH_FAILED',
      retryable: false,
    });
  } finally {
    await session.close();
  }
});
