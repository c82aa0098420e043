import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ApiClient } from './api/client.ts';
import { descendantsOf, isAlive } from './testing/process-tree.ts';
import { type RunningScript, runScript } from './testing/run-script.ts';

const anything = z.looseObject({});
let dataDir: string;
let env: Record<string, string>;
let password: string;
let url: string;

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'xvault-start-'));
  env = { XVAULT_DATA_DIR: dataDir, XVAULT_HUB_PORT: String(await freePort()) };
  url = `http://127.0.0.1:${env.XVAULT_HUB_PORT}`;
});
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

async function up(): Promise<RunningScript> {
  const script = runScript('scripts/src/start.ts', [], env);
  await script.until(/Ctrl-C stops it/);
  return script;
}

function signIn(): Promise<ApiClient> {
  return ApiClient.signIn(url, 'operator@xvault.localhost', password);
}

test('the first start shows URLs and the password, hides secrets from the process table, and ends cleanly', async () => {
  const script = await up();
  expect(script.stdout()).toContain(`xVault is up: ${url}\n`);
  expect(script.stdout()).toContain(`API documentation: ${url}/docs\n`);
  password = /^password: (\S+)/m.exec(script.stdout())?.[1] ?? '';
  expect((await fetch(`${url}/docs/json`)).status).toBe(200);
  await (await signIn()).post('/api/v1/tenants', { name: 'Kept' }, anything);

  const children = descendantsOf(script.pid);
  expect(children.map((child) => child.commandLine).join('\n')).toMatch(
    /redis-server[\s\S]*hub\/src\/main\.ts[\s\S]*worker\/src\/main\.ts/,
  );
  const secrets = join(dataDir, 'secrets');
  for (const name of readdirSync(secrets).filter((file) => !file.endsWith('recipient') && !file.endsWith('shown'))) {
    const secret = readFileSync(join(secrets, name), 'utf8');
    for (const child of children) expect(child.commandLine, name).not.toContain(secret);
    for (const log of readdirSync(join(dataDir, 'logs'))) {
      expect(readFileSync(join(dataDir, 'logs', log), 'utf8'), `${name} in ${log}`).not.toContain(secret);
    }
  }

  script.signal('SIGINT');
  script.signal('SIGINT');
  expect(await script.ended).toBe(0);
  expect(children.filter((child) => isAlive(child.pid))).toEqual([]);
}, 120_000);

test('a restart goes on where it was, shows no password, and refuses company on its folder', async () => {
  const script = await up();
  expect(script.stdout()).not.toContain('password');
  const { items } = await (await signIn()).get('/api/v1/tenants', z.object({ items: z.array(z.looseObject({})) }));
  expect(items).toMatchObject([{ name: 'Kept' }]);

  const second = runScript('scripts/src/start.ts', [], { ...env, XVAULT_HUB_PORT: String(await freePort()) });
  expect(await second.ended).toBe(1);
  expect(second.stderr()).toContain('another process is using this folder');
  expect((await fetch(`${url}/readyz`)).status).toBe(200);

  script.signal('SIGTERM');
  expect(await script.ended).toBe(0);
}, 120_000);

test('a part that dies takes the others down, and says so with its last words', async () => {
  const script = await up();
  const children = descendantsOf(script.pid);
  const hub = children.find((child) => child.commandLine.includes('hub/src/main.ts'));
  process.kill(hub?.pid ?? 0, 'SIGKILL');
  expect(await script.ended).toBe(1);
  expect(script.stderr()).toMatch(/Hub ended with SIGKILL unexpectedly:\n.*"name":"hub"/);
  expect(children.filter((child) => isAlive(child.pid))).toEqual([]);
}, 120_000);

test('nothing outlives a start that is killed, and the next start goes on', async () => {
  const killed = await up();
  const children = descendantsOf(killed.pid);
  killed.signal('SIGKILL');
  await killed.ended;
  for (let waited = 0; children.some((child) => isAlive(child.pid)) && waited < 100; waited += 1) await sleep(50);
  expect(children.filter((child) => isAlive(child.pid))).toEqual([]);

  const script = await up();
  const { items } = await (await signIn()).get('/api/v1/tenants', z.object({ items: z.array(z.looseObject({})) }));
  expect(items).toMatchObject([{ name: 'Kept' }]);
  script.signal('SIGTERM');
  expect(await script.ended).toBe(0);
}, 120_000);
