import { once } from 'node:events';
import { access, chown, mkdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Hook, hook } from '@xvault/shared/archive-options.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { EventDraft } from '@xvault/shared/events.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { SourceSession } from '../connectors/connector.ts';
import { createSshConnector } from '../connectors/ssh/connector.ts';
import { RunStopped } from '../lanes/abort.ts';
import { createAddressGuard } from '../net/guard.ts';
import type { RunContext } from './handler.ts';
import { withHooks } from './hooked.ts';

const guard = createAddressGuard({ allow: ['127.0.0.0/8'] });
let sshd: TestSshd;
let receiver: Server;
let url: string;
let calls: { path: string; body: Record<string, unknown>; type: string | undefined }[];
let answer: (path: string) => { status: number; location?: string } | undefined;
let connections: number;

beforeAll(async () => {
  sshd = await startSshd();
  await mkdir(join(sshd.dataDir, 'data'));
  await chown(join(sshd.dataDir, 'data'), sshd.user.uid, sshd.user.gid);
  receiver = createServer(async (request, response) => {
    const path = request.url ?? '';
    calls.push({ path, body: JSON.parse(await textOf(request)), type: request.headers['content-type'] });
    const given = answer(path);
    if (given === undefined) return;
    response.writeHead(given.status, given.location === undefined ? {} : { location: given.location }).end('ok');
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
});
afterAll(async () => {
  receiver?.closeAllConnections();
  receiver?.close();
  await sshd?.stop();
});
beforeEach(() => {
  calls = [];
  answer = () => ({ status: 204 });
  connections = 0;
});

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

const result = { file_count: 2, entry_count: 3, source_bytes: 100, stored_bytes: 50 };
const webhook = (path: string, more: object = {}) => hook.parse({ type: 'webhook', url: `${url}${path}`, ...more });
const command = (text: string, more: object = {}) => hook.parse({ type: 'ssh', command: text, ...more });

/** Runs a transfer between hooks, as the worker would. */
function setUp(pre: Hook[], post: Hook[], { allow = ['127.0.0.0/8'], hostKey = sshd.fingerprint() } = {}) {
  const events: EventDraft[] = [];
  const notes: string[] = [];
  let warnings = 0;
  const stop = new AbortController();
  const context = {
    start: { run_id: 'run-1', attempt: 2, source_secret_sealed: null },
    spec: { job_id: "job'1", options: { hooks: { pre, post } }, source: { type: 'ssh' } },
    signal: stop.signal,
    logger: pino({ level: 'silent' }),
    emit: (event: EventDraft) => events.push(event),
    note: (line: string) => notes.push(line),
    countWarning: () => {
      warnings += 1;
    },
  } as unknown as RunContext<'backup'>;
  const target = {
    ...{ host: sshd.host, port: sshd.port, user: sshd.user.name, jump: null, path: join(sshd.dataDir, 'data') },
    host_key: hostKey,
  };
  const deps = {
    config: { XVAULT_ALLOW_NETWORKS: allow },
    sources: {
      connect: (_source: unknown, _sealed: unknown, signal: AbortSignal) => {
        connections += 1;
        return createSshConnector({ guard }).connect(target, { private_key: sshd.privateKey }, signal);
      },
    },
  } as unknown as Parameters<typeof withHooks>[1];
  return {
    events,
    notes,
    stop,
    warnings: () => warnings,
    codes: () => events.map(({ code, params }) => `${code} ${params.phase} ${params.number}`),
    run: (transfer: (session: SourceSession) => Promise<typeof result>) => withHooks(context, deps, transfer),
  };
}
const file = (name: string) => join(sshd.dataDir, 'data', name);

describe('webhooks', () => {
  test('are told of the run before and after it', async () => {
    const { run, codes } = setUp([webhook('/before')], [webhook('/after?token=x')]);
    expect(await run(async () => result)).toBe(result);
    const common = { run_id: 'run-1', job_id: "job'1", attempt: 2 };
    expect(calls).toEqual([
      {
        path: '/before',
        type: 'application/json',
        body: { ...common, phase: 'pre', outcome: null, error_code: null, stats: null },
      },
      {
        path: '/after?token=x',
        type: 'application/json',
        body: { ...common, phase: 'post', outcome: 'success', error_code: null, stats: result },
      },
    ]);
    expect(codes()).toEqual(['HOOK_DONE pre 1', 'HOOK_DONE post 1']);
  });

  test('that fail stop the run before the source is even connected, or warn', async () => {
    answer = (path) => ({ status: path === '/bad' ? 500 : 200 });
    const stopping = setUp([webhook('/good'), webhook('/bad'), webhook('/never')], [webhook('/after')]);
    let transferred = false;
    const transfer = async () => {
      transferred = true;
      return result;
    };
    await expect(stopping.run(transfer)).rejects.toMatchObject({
      code: 'HOOK_FAILED',
      params: { phase: 'pre', number: 2 },
    });
    expect([transferred, connections]).toEqual([false, 0]);
    expect(calls.map(({ path }) => path)).toEqual(['/good', '/bad', '/after']);
    expect(calls[2]?.body).toMatchObject({ phase: 'post', outcome: 'failed', error_code: 'HOOK_FAILED' });

    const warning = setUp([webhook('/bad', { on_failure: 'warn' }), webhook('/good')], []);
    await warning.run(transfer);
    expect([transferred, warning.warnings()]).toEqual([true, 1]);
    expect(warning.codes()).toEqual(['HOOK_FAILED pre 1', 'HOOK_DONE pre 2']);
    // Addresses may hold tokens.
    expect(JSON.stringify(warning.events)).not.toContain('/bad');
  });

  test('do not follow redirects, nor reach forbidden networks, nor wait for ever', async () => {
    answer = (path) => (path === '/moved' ? { status: 302, location: `${url}/elsewhere` } : undefined);
    const warn = { on_failure: 'warn' };
    const hooks = [webhook('/moved', warn), webhook('/silent', { ...warn, timeout_seconds: 1 })];
    const run = setUp(hooks, []);
    await run.run(async () => result);
    expect(run.codes()).toEqual(['HOOK_FAILED pre 1', 'HOOK_FAILED pre 2']);
    expect(run.notes).toEqual(['pre hook 1 (webhook): status 302', 'pre hook 2 (webhook): it took too long']);
    expect(calls.map(({ path }) => path)).toEqual(['/moved', '/silent']);
    const closed = setUp([webhook('/private')], [], { allow: [] });
    await expect(closed.run(async () => result)).rejects.toMatchObject({
      code: 'HOOK_FAILED',
      detail: expect.stringContaining('SOURCE_ADDRESS_FORBIDDEN'),
    });
    expect(calls.some(({ path }) => path === '/private')).toBe(false);
  });

  test('over TLS take no certificate of nobody’s', async () => {
    const plain = hook.parse({ type: 'webhook', url: `https://127.0.0.1:${new URL(url).port}/x`, timeout_seconds: 5 });
    await expect(setUp([plain], []).run(async () => result)).rejects.toMatchObject({ code: 'HOOK_FAILED' });
  });

  test('after a success that fail are warnings: what is stored is good', async () => {
    answer = () => ({ status: 500 });
    const run = setUp([], [webhook('/after', { on_failure: 'stop' })]);
    expect(await run.run(async () => result)).toBe(result);
    expect(run.warnings()).toBe(1);
  });
});

describe('commands', () => {
  test('run in the shell of the source’s user, with what there is to know, quoted', async () => {
    const print =
      'printf "%s|" "$XVAULT_RUN_ID" "$XVAULT_JOB_ID" "$XVAULT_PHASE" "$XVAULT_OUTCOME" "$XVAULT_ERROR_CODE"';
    const { run } = setUp([command(`${print} > '${file('pre')}'`)], [command(`${print} > '${file('post')}'`)]);
    await run(async (session) => {
      expect(await readFile(file('pre'), 'utf8')).toBe("run-1|job'1|pre|||");
      expect(session.runCommand).toBeDefined();
      return result;
    });
    expect(await readFile(file('post'), 'utf8')).toBe("run-1|job'1|post|success||");
    expect(connections).toBe(1);
  });

  test('that fail stop the run; their words are kept nowhere', async () => {
    const run = setUp([command('echo a-secret-of-the-customer; echo another >&2; exit 3')], []);
    const error = await run.run(async () => result).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'HOOK_FAILED', detail: 'pre hook 1 (ssh): exit code 3' });
    expect(JSON.stringify([run.events, run.notes, { ...(error as XVaultError) }])).not.toMatch(/a-secret|another/);
  });

  test('that hang are given up', async () => {
    const run = setUp([command('sleep 600', { timeout_seconds: 1, on_failure: 'warn' })], []);
    expect(await run.run(async () => result)).toBe(result);
    expect(run.codes()).toEqual(['HOOK_FAILED pre 1']);
  });
});

describe('post hooks come', () => {
  test('after a failure, on a connection of their own', async () => {
    const run = setUp(
      [],
      [command(`printf '%s %s' "$XVAULT_OUTCOME" "$XVAULT_ERROR_CODE" > '${file('failed')}'`), webhook('/after')],
    );
    const transfer = async (): Promise<typeof result> => {
      throw new XVaultError('SOURCE_LOST');
    };
    await expect(run.run(transfer)).rejects.toMatchObject({ code: 'SOURCE_LOST' });
    expect(await readFile(file('failed'), 'utf8')).toBe('failed SOURCE_LOST');
    expect(calls[0]?.body).toMatchObject({ outcome: 'failed', error_code: 'SOURCE_LOST' });
    expect(connections).toBe(2);
  });

  test.each([
    ['cancelled', 'cancelled'],
    ['handed_back', 'interrupted'],
  ] as const)('when the run is %s, although its signal is aborted', async (cause, outcome) => {
    const run = setUp([], [webhook('/after'), command(`touch '${file(cause)}'`)]);
    const transfer = async (): Promise<typeof result> => {
      run.stop.abort(new RunStopped(cause));
      throw run.stop.signal.reason;
    };
    await expect(run.run(transfer)).rejects.toBeInstanceOf(RunStopped);
    expect(calls[0]?.body).toMatchObject({ phase: 'post', outcome });
    await access(file(cause));
  });

  test('also when it is cancelled while a pre hook is waited for', async () => {
    answer = (path) => (path === '/slow' ? undefined : { status: 200 });
    const run = setUp([webhook('/slow')], [webhook('/after')]);
    const running = run.run(async () => result);
    while (calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    run.stop.abort(new RunStopped('cancelled'));
    await expect(running).rejects.toBeInstanceOf(RunStopped);
    expect(calls.map(({ path }) => path)).toEqual(['/slow', '/after']);
  });

  test.each(['lease_lost', 'superseded'] as const)('never when the run is another attempt’s: %s', async (cause) => {
    const run = setUp([], [webhook('/after')]);
    const transfer = async (): Promise<typeof result> => {
      run.stop.abort(new RunStopped(cause));
      throw run.stop.signal.reason;
    };
    await expect(run.run(transfer)).rejects.toBeInstanceOf(RunStopped);
    expect(calls).toEqual([]);
  });

  test('when the source cannot even be connected', async () => {
    const run = setUp([], [webhook('/after'), command('true')], { hostKey: `SHA256:${'A'.repeat(43)}` });
    let transferred = false;
    const transfer = async () => {
      transferred = true;
      return result;
    };
    await expect(run.run(transfer)).rejects.toMatchObject({ code: 'SSH_HOST_KEY_CHANGED' });
    expect(calls[0]?.body).toMatchObject({ outcome: 'failed', error_code: 'SSH_HOST_KEY_CHANGED' });
    expect(run.codes()).toEqual(['HOOK_DONE post 1', 'HOOK_FAILED post 2']);
    expect(transferred).toBe(false);
  });
});
