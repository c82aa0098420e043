import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { ownDatabase, ownRedis } from '@xvault/shared/testing/test-databases.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const main = new URL('./main.ts', import.meta.url).pathname;
const email = 'first@example.com';
const password = 'a first password';
const children: ChildProcess[] = [];
let env: Record<string, string>;

beforeEach(async () => {
  const { recipient } = await generateKeyPair();
  env = {
    XVAULT_HUB_PORT: '0',
    XVAULT_REDIS_URL: await ownRedis(),
    XVAULT_JWT_SECRET: randomToken(),
    XVAULT_ENROLMENT_TOKEN: randomToken(),
    XVAULT_CREDENTIALS_RECIPIENT: recipient,
    XVAULT_VAULT_RECIPIENT: recipient,
    XVAULT_OPERATOR_EMAIL: email,
    XVAULT_OPERATOR_PASSWORD: password,
  };
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
});

/** A Hub as a process of its own. */
function launch(more: Record<string, string>) {
  const child = spawn(process.execPath, [main], { env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let output = '';
  let waiting: (() => void) | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      waiting?.();
    });
  }
  const closed = once(child, 'close').then(([code, signal]: unknown[]) => {
    waiting?.();
    return { code, signal, output };
  });
  return {
    output: () => output,
    closed,
    end(signal: NodeJS.Signals) {
      child.kill(signal);
      return closed;
    },
    /** The address it listens on. */
    async ready(): Promise<string> {
      for (;;) {
        const address = /"address":"([^"]+)","msg":"the Hub is ready"/.exec(output)?.[1];
        if (address !== undefined) return address;
        if (child.exitCode !== null) throw new Error(`the Hub ended:\n${output}`);
        await new Promise<void>((resolve) => (waiting = resolve));
      }
    },
  };
}

async function signIn(address: string): Promise<number> {
  const answer = await fetch(`${address}/api/v1/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password }),
  });
  return answer.status;
}

describe('the process of a Hub', () => {
  it('makes its first operator, serves, and ends with 0 at SIGTERM', async () => {
    const hub = launch({ XVAULT_DATABASE_URL: await ownDatabase() });
    const address = await hub.ready();
    expect(await signIn(address)).toBe(200);
    expect((await fetch(`${address}/readyz`)).status).toBe(200);
    const { code, signal, output } = await hub.end('SIGTERM');
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(output).toContain('"msg":"closed"');
    expect(output).not.toContain(password);
  });

  it('starts without Redis, says so, and goes on when it is asked to end', async () => {
    const away = { XVAULT_REDIS_URL: `redis://127.0.0.1:${await freePort()}` };
    const hub = launch({ XVAULT_DATABASE_URL: await ownDatabase(), ...away });
    const address = await hub.ready();
    const answer = await fetch(`${address}/readyz`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toEqual({ status: 'unavailable', database: 'ok', redis: 'unavailable' });
    expect(await signIn(address)).toBe(200);
    expect(await hub.end('SIGINT')).toMatchObject({ code: 0 });
  });

  it('ends with 2 and names what is wrong with its configuration, nothing else', async () => {
    const { code, output } = await launch({ XVAULT_DATABASE_URL: 'mysql://user:canary@host/db' }).closed;
    expect(code).toBe(2);
    expect(output).toContain('XVAULT_DATABASE_URL');
    expect(output).not.toContain('canary');
    expect(output).not.toContain('    at ');
  });

  it('ends with 1 when the database cannot be reached', async () => {
    const nowhere = `postgres://postgres@127.0.0.1:${await freePort()}/none`;
    const { code, output } = await launch({ XVAULT_DATABASE_URL: nowhere }).closed;
    expect(code).toBe(1);
    expect(output).toContain('the Hub could not start');
  });

  it('on an embedded database goes on where it was after SIGKILL', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xvault-main-'));
    try {
      const database = { XVAULT_DATABASE_URL: `pglite://${join(folder, 'db')}` };
      const first = launch(database);
      expect(await signIn(await first.ready())).toBe(200);
      expect((await launch(database).closed).output).toContain('another process is using this folder');
      await first.end('SIGKILL');
      const { XVAULT_OPERATOR_EMAIL: _, XVAULT_OPERATOR_PASSWORD: __, ...rest } = env;
      env = rest;
      const second = launch(database);
      expect(await signIn(await second.ready())).toBe(200);
      expect(await second.end('SIGTERM')).toMatchObject({ code: 0 });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 180_000);
});
