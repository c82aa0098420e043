import { setTimeout as sleep } from 'node:timers/promises';
import { assertNever, asXVaultError } from '@xvault/shared/errors.ts';
import type { EventDraft } from '@xvault/shared/events.ts';
import { nowMicros } from '@xvault/shared/events.ts';
import type { FinishResponse, OutcomeInput, RegisterResponse, StartResponse } from '@xvault/shared/internal-api.ts';
import type { Ticket } from '@xvault/shared/lanes.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import type { Handlers, RunContext, RunHandler } from '../handlers/handler.ts';
import { RunStopped } from './abort.ts';
import { ActiveRun } from './active-run.ts';
import { retrying } from './backoff.ts';
import { type HubClient, HubRefused, HubUnreachable } from './hub-client.ts';
import { keepNotes } from './keep-notes.ts';
import type { LeaseKeeper } from './lease-keeper.ts';
import { LogTail } from './log-tail.ts';

export interface ExecutorDeps {
  readonly hub: HubClient;
  readonly keeper: LeaseKeeper;
  readonly handlers: Handlers;
  readonly workerId: string;
  readonly settings: RegisterResponse;
  readonly logger: Logger;
  /** Called when an attempt ended without the Hub taking its result: what it left is looked for. */
  readonly onLitter: () => void;
}

/** What became of a ticket; `status` is null when the Hub did not take (or was not given) a result. */
export interface TicketEnd {
  readonly runId: string;
  readonly status: FinishResponse['run_status'] | 'dropped' | null;
}

/** Carries out one ticket from the start handshake to the Hub's word on its end. Throws only HubUnreachable before the start. */
export async function executeTicket(ticket: Ticket, stopClaiming: AbortSignal, deps: ExecutorDeps): Promise<TicketEnd> {
  const started = await startRun(ticket, stopClaiming, deps);
  if (started === null) return { runId: ticket.runId, status: 'dropped' };
  const run = new ActiveRun(started.response, started.requestedAtMs, deps.settings.event_max_per_run);
  const logger = deps.logger.child({ runId: run.runId, kind: run.start.kind, attempt: run.start.attempt });
  deps.keeper.add(run);
  try {
    logger.info('run started');
    const outcome = await carryOut(run, deps, logger);
    if (outcome === null) {
      deps.onLitter();
      return { runId: run.runId, status: null };
    }
    return { runId: run.runId, status: await finish(run, outcome, deps, logger) };
  } finally {
    deps.keeper.remove(run);
  }
}

async function startRun(
  ticket: Ticket,
  stopClaiming: AbortSignal,
  deps: ExecutorDeps,
): Promise<{ response: StartResponse; requestedAtMs: number } | null> {
  const nonce = randomToken();
  let requestedAtMs = performance.now();
  try {
    const response = await retrying(
      () => {
        requestedAtMs = performance.now();
        return deps.hub.start(ticket.runId, { attempt: ticket.attempt, worker_id: deps.workerId, nonce });
      },
      (error) => error instanceof HubUnreachable,
      stopClaiming,
      (error) => deps.logger.warn({ err: error, runId: ticket.runId }, 'start not answered; trying again'),
    );
    return { response, requestedAtMs };
  } catch (error) {
    if (error instanceof HubRefused) {
      deps.logger.info({ runId: ticket.runId, attempt: ticket.attempt, code: error.code }, 'ticket dropped');
      // The Hub may be draining this worker, which it says with the next heartbeat.
      if (error.code === 'WORKER_UNSUITABLE') deps.keeper.beatNow();
      return null;
    }
    throw error;
  }
}

/** Runs the handler; the one place where what it throws becomes an outcome. Null: the run is no longer ours, say nothing. */
async function carryOut(
  run: ActiveRun,
  { handlers, hub }: Pick<ExecutorDeps, 'handlers' | 'hub'>,
  logger: Logger,
): Promise<OutcomeInput | null> {
  const tail = new LogTail();
  let warnings = 0;
  const say = (event: EventDraft): void => {
    run.events.add(event);
    tail.add(`${nowMicros()} ${event.level} ${event.code} ${JSON.stringify(event.params)}`);
  };
  const context: RunContext<never> = {
    start: run.start,
    spec: run.start.spec as never,
    signal: run.signal,
    bandwidth: run.bandwidth,
    logger,
    note: (line) => tail.add(`${nowMicros()} ${line}`),
    keep: (notes) => {
      const onRetry = (error: unknown) => logger.warn({ err: error }, 'notes not answered; trying again');
      return keepNotes(hub, run, notes, onRetry);
    },
    emit: say,
    progress: (progress) => run.report(progress),
    countWarning: () => {
      warnings += 1;
    },
  };
  try {
    const handler = handlers[run.start.kind] as unknown as RunHandler<never>;
    const result: ResultInput = await handler(context);
    return { status: 'completed', result, warnings, log_excerpt: tail.text() };
  } catch (error) {
    const cause = stopCause(error, run.signal);
    if (cause !== null) logger.info({ cause }, 'run stopped');
    switch (cause) {
      case 'superseded':
      case 'lease_lost':
        return null;
      case 'cancelled':
      case 'handed_back':
        return { status: cause, warnings, log_excerpt: tail.text() };
      case null: {
        const known = asXVaultError(error);
        logger.warn({ err: error, code: known.code, detail: known.detail }, 'run failed');
        tail.add(`${nowMicros()} error ${known.code} ${known.detail ?? ''}`);
        return {
          status: 'failed',
          error_code: known.code,
          error_params: known.params,
          error_detail: known.detail?.slice(0, 4096) ?? null,
          warnings,
          log_excerpt: tail.text(),
        };
      }
      default:
        return assertNever(cause);
    }
  }
}

function stopCause(error: unknown, signal: AbortSignal): RunStopped['stopCause'] | null {
  if (error instanceof RunStopped) return error.stopCause;
  return signal.aborted && signal.reason instanceof RunStopped ? signal.reason.stopCause : null;
}

/** Says the end until the Hub answers or the lease is over. What is then unknown stays untouched until the Hub is asked. */
async function finish(
  run: ActiveRun,
  outcome: OutcomeInput,
  deps: ExecutorDeps,
  logger: Logger,
): Promise<FinishResponse['run_status'] | null> {
  await flushEvents(run, deps.keeper);
  const body = {
    epoch: run.start.epoch,
    lease_token: run.start.lease_token,
    progress: run.progress,
    events: run.events.batch(5000),
    outcome,
  };
  const leaseOver = new AbortController();
  const watch = setInterval(() => {
    if (performance.now() > run.leaseEndsAtMs) leaseOver.abort();
  }, 500);
  try {
    const answer = await retrying(
      () => deps.hub.finish(run.runId, body),
      (error) => error instanceof HubUnreachable,
      leaseOver.signal,
      (error) => logger.warn({ err: error }, 'finish not answered; trying again'),
    );
    logger.info({ outcome: outcome.status, status: answer.run_status }, 'run ended');
    if (outcome.status !== 'completed' || answer.run_status === 'queued') deps.onLitter();
    return answer.run_status;
  } catch (error) {
    logger.error({ err: error, outcome: outcome.status }, 'the end of the run was not taken by the Hub');
    deps.onLitter();
    return null;
  } finally {
    clearInterval(watch);
  }
}

/** A finish carries at most 5,000 events; more than that waits for heartbeats first. */
async function flushEvents(run: ActiveRun, keeper: LeaseKeeper): Promise<void> {
  while (run.events.batch(5001).length > 5000 && performance.now() < run.leaseEndsAtMs) {
    keeper.beatNow();
    await sleep(100);
  }
}
