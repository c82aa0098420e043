import type { Hook } from '@xvault/shared/archive-options.ts';
import { asXVaultError, XVaultError } from '@xvault/shared/errors.ts';
import type { EventDraft } from '@xvault/shared/events.ts';
import type { SourceSession } from '../../connectors/connector.ts';
import type { AddressGuard } from '../../net/guard.ts';
import { postJson } from '../../net/post-json.ts';

export type HookPhase = 'pre' | 'post';

/** What webhooks get as JSON, and commands as XVAULT_… where it is a single value. */
export interface HookMessage {
  readonly run_id: string;
  readonly job_id: string;
  readonly attempt: number;
  readonly phase: HookPhase;
  /** Null before the transfer. */
  readonly outcome: 'success' | 'failed' | 'cancelled' | 'interrupted' | null;
  readonly error_code: string | null;
  readonly stats: Readonly<Record<string, number>> | null;
}

export interface HookRun {
  readonly hooks: readonly Hook[];
  readonly message: HookMessage;
  readonly guard: AddressGuard;
  /** Reached only when a command has to run. */
  readonly session: () => Promise<SourceSession>;
  readonly signal: AbortSignal;
  /** Shortens the time-out of each hook. */
  readonly mostMs?: number;
  /** Whether a hook that is to stop the run does so; otherwise each failure is only a warning. */
  readonly mayStop: boolean;
  readonly emit: (event: EventDraft) => void;
  /** For operators. */
  readonly note: (line: string) => void;
  readonly countWarning: () => void;
}

/**
 * Carries hooks out in their order. One that fails is a warning, or, where it may stop the run, ends the list with
 * HOOK_FAILED. What commands write is not kept: it may hold secrets of the customer's own.
 */
export async function runHooks(run: HookRun): Promise<void> {
  const { phase } = run.message;
  for (const [at, hook] of run.hooks.entries()) {
    const params = { phase, number: at + 1, kind: hook.type };
    const failure = await failureOf(hook, run);
    if (failure === null) {
      run.emit({ type: 'summary', level: 'info', code: 'HOOK_DONE', message_id: 'hook_done', params });
      continue;
    }
    const detail = `${phase} hook ${at + 1} (${hook.type}): ${failure}`;
    if (run.mayStop && hook.on_failure === 'stop') {
      throw new XVaultError('HOOK_FAILED', { detail, params: { phase, number: at + 1 } });
    }
    run.countWarning();
    run.note(detail);
    run.emit({ type: 'warning', level: 'warn', code: 'HOOK_FAILED', message_id: 'hook_failed', params });
  }
}

/** Null when it succeeded, or why not. Throws the signal's reason only. */
async function failureOf(hook: Hook, run: HookRun): Promise<string | null> {
  const timeoutMs = Math.min(hook.timeout_seconds * 1000, run.mostMs ?? Number.POSITIVE_INFINITY);
  run.signal.throwIfAborted();
  try {
    if (hook.type === 'webhook') {
      const status = await postJson(run.guard, new URL(hook.url), run.message, timeoutMs, run.signal);
      return status >= 200 && status < 300 ? null : `status ${status}`;
    }
    return await runCommand(hook.command, run, timeoutMs);
  } catch (error) {
    run.signal.throwIfAborted();
    if (error instanceof Error && error.name === 'TimeoutError') return 'it took too long';
    const known = asXVaultError(error);
    // The detail of a name or an address is the customer's own; a stray error's words could hold anything.
    return known.code === 'INTERNAL' ? systemCode(error) : `${known.code} ${known.detail ?? ''}`;
  }
}

async function runCommand(command: string, run: HookRun, timeoutMs: number): Promise<string | null> {
  const session = await run.session();
  if (session.runCommand === undefined) return 'the source has no shell for commands';
  const { exitCode } = await session.runCommand(withEnvironment(command, run.message), {
    timeoutMs,
    signal: run.signal,
  });
  if (exitCode === 0) return null;
  return exitCode === null ? 'a signal ended it' : `exit code ${exitCode}`;
}

/** Given in the command itself, for servers refuse variables that come with a request. */
export function withEnvironment(command: string, message: HookMessage): string {
  const values = {
    XVAULT_RUN_ID: message.run_id,
    XVAULT_JOB_ID: message.job_id,
    XVAULT_ATTEMPT: String(message.attempt),
    XVAULT_PHASE: message.phase,
    XVAULT_OUTCOME: message.outcome ?? '',
    XVAULT_ERROR_CODE: message.error_code ?? '',
  };
  const assignments = Object.entries(values).map(([name, value]) => `${name}='${value.replaceAll("'", `'\\''`)}'`);
  return `export ${assignments.join(' ')}\n${command}`;
}

function systemCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return `the connection failed (${code})`;
}
