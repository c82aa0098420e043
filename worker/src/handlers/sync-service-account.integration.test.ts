import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ErrorCode } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CloudPlatform, makeCloudPlatform } from './sync-cloud.test-kit.ts';

let cloud: CloudPlatform;
const trap = createServer((request, response) => {
  trapped.push(`${request.method} ${request.url}`);
  response.end('{}');
});
/** What asked for an address that a customer's key file names. */
const trapped: string[] = [];
let trapUrl: string;

beforeAll(async () => {
  cloud = await makeCloudPlatform({});
  trap.listen(0, '127.0.0.1');
  await once(trap, 'listening');
  const address = trap.address();
  if (address === null || typeof address === 'string') throw new Error('a listening server has no port');
  // Go sends what is for localhost past every proxy.
  trapUrl = `http://localhost:${address.port}`;
  const { drive } = cloud.providers;
  for (let number = 0; number < 5; number += 1) drive.put(`folder/file ${number}`, `content ${number}`);
  drive.put('large', Buffer.alloc(3_000_000, 'drive'));
  drive.addSharedDrive('Team');
});
afterAll(async () => {
  trap.close();
  await cloud?.stop();
});
beforeEach(() => {
  Object.assign(cloud.providers.google, { accessSeconds: 3600, failures: [] });
  cloud.providers.calls.length = 0;
  trapped.length = 0;
});

const source: SourceConnection = sourceConnection.parse({ type: 'google_drive', config: {} });
const trapping = () => ({
  token_uri: `${trapUrl}/token`,
  auth_uri: `${trapUrl}/auth`,
  auth_provider_x509_cert_url: `${trapUrl}/certs`,
  client_x509_cert_url: `${trapUrl}/cert`,
});
const sync = (json: string | undefined, jobId = newId(), options = {}) =>
  cloud.sync(null, source, jobId, options, json === undefined ? {} : { service_account_json: json });

async function failed(json: string | undefined, options = {}) {
  try {
    await sync(json, newId(), options);
  } catch (error) {
    return error as Error & { code: ErrorCode; diagnostics: Record<string, unknown>; told: { events: unknown[] } };
  }
  throw new Error('the run did not fail');
}

/** A line of a key that stands nowhere else. */
function canaryOf(json: string): string {
  const { private_key: key } = JSON.parse(json) as { private_key: string };
  return key.split('\n')[5] ?? '';
}

/** Where a text stands that others than rclone and its worker could read: processes' arguments and environments, files in memory. */
async function placesOf(text: string): Promise<string[]> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const shared = (await readdir('/dev/shm')).filter((name) => name.startsWith('xvault-sync-'));
  const files = await Promise.all(
    shared.map(async (name) => {
      const entries = await readdir(join('/dev/shm', name), { recursive: true, withFileTypes: true }).catch(() => []);
      return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    }),
  );
  const candidates = [
    ...processes.flatMap((pid) => ['cmdline', 'environ'].map((name) => join('/proc', pid, name))),
    ...files.flat(),
  ];
  const found: string[] = [];
  for (const path of candidates) {
    // Processes and files that are gone by now hold nothing any more.
    const content = await readFile(path, 'latin1').catch(() => '');
    if (content.includes(text)) found.push(path);
  }
  return found;
}

describe('a drive read by a service account', () => {
  it('is synced by its key, and no address in the key file is ever asked', async () => {
    const { json } = cloud.providers.accounts.create(trapping());
    const jobId = newId();
    const before = cloud.providers.accounts.granted;
    const { result, told, diagnostics } = await sync(json, jobId);
    const place = join(cloud.root, 'storage/tenants/tenant/sources/source/sync', jobId, 'current');
    expect(await readFile(join(place, 'folder/file 3'), 'utf8')).toBe('content 3');
    expect(result.snapshot.file_count).toBe(6);
    // Once before rclone starts, and by rclone.
    expect(cloud.providers.accounts.granted).toBeGreaterThanOrEqual(before + 2);
    expect(trapped).toEqual([]);
    expect(diagnostics).toMatchObject({ 'gdrive.service_account': true, 'gdrive.service_account_ok': true });
    expect(JSON.stringify([told, result, diagnostics])).not.toContain(canaryOf(json));
    expect((await sync(json, jobId)).told.events.at(-1)).toMatchObject({ code: 'NO_CHANGES' });
  });

  it('has its key in no arguments, no environment and no file while it runs', async () => {
    const { json } = cloud.providers.accounts.create();
    const running = sync(json, newId(), { bandwidth_limit_bps: 1_000_000 });
    const found: string[] = [];
    let looks = 0;
    let isRunning = true;
    const watching = (async () => {
      while (isRunning) {
        if (cloud.providers.calls.length > 0) looks += 1;
        found.push(...(await placesOf(canaryOf(json))));
        await sleep(100);
      }
    })();
    await running.finally(() => {
      isRunning = false;
    });
    await watching;
    expect(looks).toBeGreaterThan(0);
    expect(found).toEqual([]);
    // What is there is found by that way of looking.
    const marker = newId();
    const child = spawn('sleep', ['30'], { stdio: 'ignore', env: { MARKER: marker } });
    await expect.poll(() => placesOf(marker)).toContain(`/proc/${child.pid}/environ`);
    child.kill('SIGKILL');
  });

  it('can be tested and browsed', async () => {
    const { json } = cloud.providers.accounts.create(trapping());
    const { context } = await cloud.contextBy(null, source, {}, { service_account_json: json });
    const sealed = context.start.source_secret_sealed;
    const found = await cloud.sources.probe(source, sealed, context.signal, context);
    expect(found.entryNames).toEqual(['folder', 'large']);
    const request = { what: 'drives', parent: '', cursor: null, limit: 10 } as const;
    const { items } = await cloud.sources.browse(source, sealed, context.signal, context, request);
    expect(items.map(({ name }) => name)).toEqual(['Team']);
    expect(trapped).toEqual([]);
  });
});

describe('a service account that does not sign in', () => {
  const expectRefused = async (json: string, code: ErrorCode) => {
    const error = await failed(json);
    expect(error).toMatchObject({ code, retryable: false });
    expect(error.told.events.at(-1)).toMatchObject({ type: 'error', code: 'ERROR_AUTH' });
    expect(cloud.providers.calls).toEqual([]);
    expect(JSON.stringify([error, error.message, error.told, error.diagnostics])).not.toContain(canaryOf(json));
    return error;
  };
  const withKey = (json: string, key: string) => JSON.stringify({ ...JSON.parse(json), private_key: key });

  it('was revoked', async () => {
    const { json, email } = cloud.providers.accounts.create();
    cloud.providers.accounts.revoke(email);
    const error = await expectRefused(json, 'SOURCE_AUTH_FAILED');
    expect(error.diagnostics).toMatchObject({ 'gdrive.service_account_ok': false });
  });

  it('has the key of another', async () => {
    const { json } = cloud.providers.accounts.create();
    const other = JSON.parse(cloud.providers.accounts.create().json) as { private_key: string };
    await expectRefused(withKey(json, other.private_key), 'SOURCE_AUTH_FAILED');
  });

  it('has a key that cannot be read, or is of another kind', async () => {
    const { json } = cloud.providers.accounts.create();
    const { private_key: key } = JSON.parse(json) as { private_key: string };
    const lines = key.split('\n');
    lines[2] = (lines[2] ?? '').toLowerCase();
    await expectRefused(withKey(json, lines.filter((_, at) => at !== 8).join('\n')), 'SOURCE_KEY_INVALID');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const curve = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    expect(await failed(withKey(json, curve))).toMatchObject({ code: 'SOURCE_KEY_INVALID', retryable: false });
  });

  it('is missing', async () => {
    expect(await failed(undefined)).toMatchObject({ code: 'ERR_GDRIVE_SOURCE_LOOKUP' });
  });

  it('is tried again later when the provider is busy or away', async () => {
    const { json } = cloud.providers.accounts.create();
    cloud.providers.google.failures = [{ status: 429, error: 'slow_down' }];
    expect(await failed(json)).toMatchObject({ code: 'SOURCE_RATE_LIMITED', retryable: true });
    cloud.providers.google.failures = [{ status: 503, error: 'backend' }];
    expect(await failed(json)).toMatchObject({ code: 'SOURCE_UNREACHABLE', retryable: true });
  });

  it('is revoked while a run goes on', async () => {
    // So short that rclone signs in anew for each request.
    cloud.providers.google.accessSeconds = 9;
    const { json, email } = cloud.providers.accounts.create();
    const failing = failed(json, { bandwidth_limit_bps: 1_000_000, transfers: 1 });
    await expect.poll(() => cloud.providers.calls.length, { interval: 10 }).toBeGreaterThan(0);
    cloud.providers.accounts.revoke(email);
    expect(await failing).toMatchObject({ code: 'SOURCE_AUTH_FAILED', retryable: false });
  });
});
