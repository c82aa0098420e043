import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ErrorCode } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import { documentType, driveError } from '@xvault/shared/testing/cloud/google-drive.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CloudPlatform, type KeptConnection, makeCloudPlatform } from './sync-cloud.test-kit.ts';

let cloud: CloudPlatform;
beforeAll(async () => {
  cloud = await makeCloudPlatform();
  const { drive, dropboxFiles } = cloud.providers;
  for (let number = 0; number < 7; number += 1) {
    drive.put(`folder ${number % 2}/deep/file ${number}`, `content ${number}`);
    dropboxFiles.put(`Folder ${number % 2}/deep/file ${number}`, `content ${number}`);
  }
  drive.put('large', Buffer.alloc(3_000_000, 'drive'));
  dropboxFiles.put('large', Buffer.alloc(3_000_000, 'dropbox'));
  drive.put('a document', 'what google exports', { mimeType: documentType });
  [drive.pageSize, dropboxFiles.pageSize] = [2, 2];
});
afterAll(() => cloud?.stop());
beforeEach(() => {
  const { google, dropbox, calls, refusals } = cloud.providers;
  for (const server of [google, dropbox]) Object.assign(server, { rotates: false, accessSeconds: 3600, failures: [] });
  calls.length = 0;
  refusals.length = 0;
});

type Provider = KeptConnection['provider'];
const sourceOf = (type: Provider, connection: KeptConnection | null, config: object = {}): SourceConnection =>
  sourceConnection.parse({ type, config: { connection_id: connection?.id ?? null, ...config } });

const placeOf = (jobId: string) => join(cloud.root, 'storage', 'tenants/tenant/sources/source/sync', jobId, 'current');

async function failed(connection: KeptConnection | null, source: SourceConnection, by = cloud) {
  try {
    await by.sync(connection, source, newId());
  } catch (error) {
    return error as Error & { code: ErrorCode; diagnostics: Record<string, unknown>; told: { events: unknown[] } };
  }
  throw new Error('the run did not fail');
}

describe.each(['google_drive', 'dropbox'] as const)('%s by a connection', (provider) => {
  const prefix = provider === 'dropbox' ? 'dropbox' : 'gdrive';
  const name = provider === 'dropbox' ? 'Folder' : 'folder';
  const serverOf = () => (provider === 'dropbox' ? cloud.providers.dropbox : cloud.providers.google);

  it('is read page by page, by a token that was renewed before', async () => {
    const connection = await cloud.connect(provider);
    const before = await cloud.tokenOf(connection);
    const jobId = newId();
    const { result, told, diagnostics } = await cloud.sync(connection, sourceOf(provider, connection), jobId);
    expect(await readFile(join(placeOf(jobId), `${name} 0/deep/file 6`), 'utf8')).toBe('content 6');
    expect(await readFile(join(placeOf(jobId), 'large'))).toEqual(
      Buffer.alloc(3_000_000, provider.replace('google_', '')),
    );
    expect(result.snapshot.file_count).toBe(provider === 'dropbox' ? 8 : 9);
    const token = await cloud.tokenOf(connection);
    expect(token.access_token).not.toBe(before.access_token);
    expect(serverOf().isGood(token.access_token)).toBe(true);
    expect(connection).toMatchObject({ generation: 2, status: 'active' });
    expect(Date.parse(connection.expiresAt ?? '')).toBeGreaterThan(Date.now() + 3_500_000);
    expect(diagnostics).toMatchObject({
      [`${prefix}.client_credentials_present`]: true,
      [`${prefix}.connection_status`]: 'active',
      [`${prefix}.refresh_token_present`]: true,
      [`${prefix}.pre_refresh_ok`]: true,
      [`${prefix}.pre_refresh_expiry`]: token.expiry,
      'rclone.version': expect.stringMatching(/^v1\./),
    });
    const said = JSON.stringify([told, diagnostics, result]);
    const secrets = [token.access_token, token.refresh_token, before.access_token, 'secret-of-the-client'];
    for (const secret of secrets) expect(said).not.toContain(secret);

    const again = await cloud.sync(connection, sourceOf(provider, connection), jobId);
    expect(again.told.events.at(-1)).toMatchObject({ code: 'NO_CHANGES' });
    expect(connection.generation).toBe(3);
  });

  it('keeps the last token of a provider that gives a new one at each use, also those that rclone was given', async () => {
    const server = serverOf();
    // So short that rclone renews it for itself as well.
    Object.assign(server, { rotates: true, accessSeconds: 9 });
    const connection = await cloud.connect(provider);
    const first = await cloud.tokenOf(connection);
    const refreshes = server.refreshes;
    await cloud.sync(connection, sourceOf(provider, connection), newId(), { transfers: 1, checkers: 1 });
    const kept = await cloud.tokenOf(connection);
    expect(server.holds(first.refresh_token)).toBe(false);
    expect(server.holds(kept.refresh_token)).toBe(true);
    expect(server.refreshes).toBeGreaterThanOrEqual(refreshes + 2);
    expect(connection.generation).toBeGreaterThanOrEqual(3);
    await cloud.sync(connection, sourceOf(provider, connection), newId());
    expect(server.holds((await cloud.tokenOf(connection)).refresh_token)).toBe(true);
  });

  it('asks for its owner when the provider has taken the access back', async () => {
    const connection = await cloud.connect(provider);
    serverOf().revokeAll();
    const code = provider === 'dropbox' ? 'CONNECTION_REAUTHORIZE' : 'ERR_GDRIVE_REFRESH_PRECHECK';
    const error = await failed(connection, sourceOf(provider, connection));
    expect(error).toMatchObject({ code, retryable: false, diagnostics: { [`${prefix}.pre_refresh_ok`]: false } });
    expect(error.told.events.at(-1)).toMatchObject({ type: 'error', code: 'ERROR_AUTH' });
    expect(connection.status).toBe('reauthorize');
    // From then on nobody is asked in vain.
    const asked = serverOf().refreshes;
    expect(await failed(connection, sourceOf(provider, connection))).toMatchObject({ code: 'CONNECTION_REAUTHORIZE' });
    expect(serverOf().refreshes).toBe(asked);
    expect(cloud.providers.calls).toEqual([]);
  });

  it('is tried again later when the provider is busy or away', async () => {
    const connection = await cloud.connect(provider);
    serverOf().failures = [{ status: 429, error: 'slow_down' }];
    const busy = await failed(connection, sourceOf(provider, connection));
    expect(busy).toMatchObject({ code: 'SOURCE_RATE_LIMITED', retryable: true });
    serverOf().failures = [{ status: 503, error: 'backend' }];
    expect(await failed(connection, sourceOf(provider, connection))).toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      retryable: true,
    });
    expect(connection.status).toBe('active');
  });

  it('says what is missing: the token, the connection', async () => {
    const damaged = await cloud.connect(provider, { access_token: 'a', token_type: 'Bearer', expiry: '' });
    const isDrive = provider === 'google_drive';
    expect(await failed(damaged, sourceOf(provider, damaged))).toMatchObject({
      code: isDrive ? 'ERR_GDRIVE_NO_REFRESH_TOKEN' : 'CONNECTION_REAUTHORIZE',
      diagnostics: { [`${prefix}.refresh_token_present`]: false },
    });
    expect(await failed(null, sourceOf(provider, damaged))).toMatchObject({
      code: isDrive ? 'ERR_GDRIVE_SOURCE_LOOKUP' : 'CONNECTION_REAUTHORIZE',
      diagnostics: { [`${prefix}.connection_status`]: null },
    });
  });

  it('tells the provider’s refusals in a probe by their codes', async () => {
    const connection = await cloud.connect(provider);
    const source = sourceOf(provider, connection);
    const refusals: readonly [ReturnType<typeof driveError>, ErrorCode][] =
      provider === 'google_drive'
        ? [
            [driveError(403, 'userRateLimitExceeded', 'User Rate Limit Exceeded'), 'SOURCE_RATE_LIMITED'],
            [driveError(403, 'dailyLimitExceeded', 'Daily Limit Exceeded'), 'SOURCE_QUOTA_EXCEEDED'],
            [driveError(403, 'insufficientFilePermissions', 'No permission'), 'SOURCE_PERMISSION'],
          ]
        : [
            [
              {
                status: 429,
                json: { error_summary: 'too_many_requests/..', error: { reason: { '.tag': 'too_many_requests' } } },
                headers: { 'retry-after': '0' },
              },
              'SOURCE_RATE_LIMITED',
            ],
          ];
    for (const [refusal, code] of refusals) {
      cloud.providers.refusals.splice(0, Number.POSITIVE_INFINITY, ...Array.from({ length: 40 }, () => refusal));
      const { context } = await cloud.contextBy(connection, source);
      await expect(
        cloud.sources.probe(source, context.start.source_secret_sealed, context.signal, context),
      ).rejects.toMatchObject({ code });
    }
  });
});

describe('Google Drive', () => {
  it('is not asked where the operator has given no app', async () => {
    const bare = await makeCloudPlatform({});
    try {
      const connection = await bare.connect('google_drive');
      expect(await failed(connection, sourceOf('google_drive', connection), bare)).toMatchObject({
        code: 'ERR_GDRIVE_NO_CLIENT_CREDENTIALS',
        diagnostics: { 'gdrive.client_credentials_present': false },
      });
    } finally {
      await bare.stop();
    }
  });

  it('is read below a folder’s id, and on a shared drive', async () => {
    const { drive } = cloud.providers;
    const shared = drive.addSharedDrive('Team');
    const folder = drive.put('plans', null, { in: shared });
    drive.put('plans/secret plan', 'of the team', { in: shared });
    const connection = await cloud.connect('google_drive');
    const whole = newId();
    await cloud.sync(connection, sourceOf('google_drive', connection, { team_drive: shared }), whole);
    expect(await readFile(join(placeOf(whole), 'plans/secret plan'), 'utf8')).toBe('of the team');
    const below = newId();
    const config = { team_drive: shared, root_folder_id: folder };
    await cloud.sync(connection, sourceOf('google_drive', connection, config), below);
    expect(await readFile(join(placeOf(below), 'secret plan'), 'utf8')).toBe('of the team');
  });

  it('keeps to what the job’s filters leave, and removes what has gone', async () => {
    const { drive } = cloud.providers;
    const folder = drive.put('changing', null);
    const gone = drive.put('changing/goes', 'soon');
    drive.put('changing/stays', 'here');
    const connection = await cloud.connect('google_drive');
    const source = sourceOf('google_drive', connection, { root_folder_id: folder });
    const jobId = newId();
    await cloud.sync(connection, source, jobId);
    drive.remove(gone);
    const { result } = await cloud.sync(connection, source, jobId, { exclude: ['*.tmp'] });
    expect(result.snapshot.file_count).toBe(1);
    await expect(readFile(join(placeOf(jobId), 'goes'))).rejects.toThrow('ENOENT');
    expect(await readFile(join(placeOf(jobId), 'stays'), 'utf8')).toBe('here');
  });
});
