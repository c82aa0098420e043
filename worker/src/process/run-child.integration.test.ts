import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeOutcome, runChild, startChild } from './run-child.ts';

function shell(
  script: string,
  options: Partial<Parameters<typeof startChild>[0]> = {},
): Parameters<typeof startChild>[0] {
  return { file: 'sh', args: ['-c', script], ...options };
}

/** Waits for the first line of a child's stdout. */
async function firstLine(child: ReturnType<typeof startChild>): Promise<string> {
  for await (const chunk of child.stdout ?? []) return String(chunk).trim();
  throw new Error('the child wrote nothing');
}

/** Whether a process is there and not only waiting to be collected. */
async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  return status !== '' && !/\) Z /.test(status);
}

async function expectGone(pid: number): Promise<void> {
  await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
}

describe('a child process', () => {
  it('succeeds with exit code 0 only', async () => {
    expect(await runChild(shell('exit 0'))).toEqual({
      end: { cause: 'exited', exitCode: 0 },
      succeeded: true,
      stderr: '',
    });
    const failed = await runChild(shell('echo no such thing >&2; exit 3'));
    expect(failed).toEqual({ end: { cause: 'exited', exitCode: 3 }, succeeded: false, stderr: 'no such thing\n' });
    expect(describeOutcome('sh', failed)).toBe('sh ended with exit code 3: no such thing');
  });

  it('that is killed by somebody is no success', async () => {
    const outcome = await runChild(shell('kill -KILL $$'));
    expect(outcome.end).toEqual({ cause: 'signaled', signal: 'SIGKILL' });
    expect(outcome.succeeded).toBe(false);
  });

  it('that cannot be started is an outcome too', async () => {
    const outcome = await runChild({ file: 'no-such-program-anywhere', args: [] });
    expect(outcome).toMatchObject({ end: { cause: 'not_started' }, succeeded: false });
    expect((await runChild({ file: 'sh', args: ['a\0b'] })).end.cause).toBe('not_started');
    const aborted = startChild(shell('exit 0', { signal: AbortSignal.abort() }));
    expect((await aborted.outcome).end.cause).toBe('aborted');
  });

  it('inherits nothing of the environment', async () => {
    process.env.XVAULT_CANARY = 'secret';
    const child = startChild(shell('env', { stdout: 'pipe', env: { GIVEN: 'yes' } }));
    const text = String(Buffer.concat((await child.stdout?.toArray()) ?? []));
    delete process.env.XVAULT_CANARY;
    expect(text).toContain('GIVEN=yes');
    expect(text).toContain('LC_ALL=C');
    expect(text).not.toMatch(/XVAULT_CANARY|HOME=/);
  });

  it('is ended with its whole group when aborted', async () => {
    const stop = new AbortController();
    const child = startChild(shell('sleep 1000 & echo $!; wait', { stdout: 'pipe', signal: stop.signal }));
    const grandchild = Number(await firstLine(child));
    expect(await isAlive(grandchild)).toBe(true);
    stop.abort();
    expect((await child.outcome).end).toEqual({ cause: 'aborted' });
    await expectGone(grandchild);
  });

  it('is killed when it ignores SIGTERM', async () => {
    const stop = new AbortController();
    const script = 'trap "" TERM; echo $$; while :; do sleep 0.1; done';
    const child = startChild(shell(script, { stdout: 'pipe', signal: stop.signal, graceMs: 50 }));
    const pid = Number(await firstLine(child));
    stop.abort();
    expect((await child.outcome).end).toEqual({ cause: 'aborted' });
    await expectGone(pid);
  });

  it('takes with it what it left running', async () => {
    const child = startChild(shell('sleep 1000 & echo $!', { stdout: 'pipe' }));
    const grandchild = Number(await firstLine(child));
    expect((await child.outcome).succeeded).toBe(true);
    await expectGone(grandchild);
  });

  it('ends for its first cause: a time-out stays one although the child then exits with 0', async () => {
    const outcome = await runChild(shell('trap "exit 0" TERM; while :; do sleep 0.05; done', { timeoutMs: 100 }));
    expect(outcome).toMatchObject({ end: { cause: 'timed_out' }, succeeded: false });
  });

  it('keeps no more than the end of stderr', async () => {
    const outcome = await runChild(
      shell('i=0; while [ $i -lt 20000 ]; do echo $i >&2; i=$((i+1)); done', { stderrTailBytes: 100 }),
    );
    expect(outcome.stderr.length).toBeLessThanOrEqual(101);
    expect(outcome.stderr).toMatch(/^….*19998\n19999\n$/s);
  });

  it('gets the descriptors that it is given', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'xvault-child-'));
    const handle = await open(join(directory, 'file'), 'w+');
    try {
      expect((await runChild(shell('echo hello >&3', { fds: [handle.fd] }))).succeeded).toBe(true);
      expect(await readFile(join(directory, 'file'), 'utf8')).toBe('hello\n');
    } finally {
      await handle.close();
      await rm(directory, { recursive: true });
    }
  });

  it('that stops reading does not end us', async () => {
    const child = startChild(shell('exec <&-; exit 4', { stdin: 'pipe' }));
    child.stdin?.write(Buffer.alloc(1_000_000));
    expect((await child.outcome).end).toEqual({ cause: 'exited', exitCode: 4 });
  });
});
