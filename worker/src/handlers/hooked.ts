import { asXVaultError } from '@xvault/shared/errors.ts';
import type { SnapshotResult } from '@xvault/shared/snapshots.ts';
import type { SourceSession } from '../connectors/connector.ts';
import { type HookMessage, type HookPhase, runHooks } from '../engines/archive/hooks.ts';
import { RunStopped } from '../lanes/abort.ts';
import { createAddressGuard } from '../net/guard.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';

type Context = RunContext<'backup'>;
type Ending = Pick<HookMessage, 'outcome' | 'error_code' | 'stats'>;
type Stats = Pick<SnapshotResult, 'file_count' | 'entry_count' | 'source_bytes' | 'stored_bytes'>;

/** After a failure or a cancellation each hook has so long at most: somebody waits for the run's end. */
const afterFailureMs = 60_000;
const before: Ending = { outcome: null, error_code: null, stats: null };

/**
 * The transfer between its hooks. Pre hooks come before anything of the source is read, webhooks at the head of the list
 * even before it is connected. Post hooks come in any case, but for a run that is another attempt's by now; their failures
 * are warnings, for what is stored is good.
 */
export async function withHooks<T extends Stats>(
  context: Context,
  deps: Pick<HandlerDeps, 'config' | 'sources'>,
  transfer: (session: SourceSession) => Promise<T>,
): Promise<T> {
  const source = new LazySource(context, deps);
  try {
    await phase(context, deps, { name: 'pre', ending: before, signal: context.signal, source });
    const result = await transfer(await source.session());
    await phase(context, deps, { name: 'post', ending: success(result), signal: context.signal, source });
    return result;
  } catch (error) {
    const stopped = stopCause(context.signal);
    const ours = stopped !== 'superseded' && stopped !== 'lease_lost';
    if (ours && !source.postDone) await afterFailure(context, deps, failure(error, stopped));
    throw error;
  } finally {
    await source.close();
  }
}

interface Phase {
  readonly name: HookPhase;
  readonly ending: Ending;
  readonly signal: AbortSignal;
  readonly source: LazySource;
  readonly mostMs?: number;
}

async function phase(context: Context, deps: Pick<HandlerDeps, 'config'>, { name, source, ...rest }: Phase) {
  const { spec, start } = context;
  const hooks = spec.options.hooks[name];
  if (name === 'post') source.postDone = true;
  if (hooks.length === 0) return;
  await runHooks({
    hooks,
    message: { run_id: start.run_id, job_id: spec.job_id, attempt: start.attempt, phase: name, ...rest.ending },
    guard: createAddressGuard({ allow: deps.config.XVAULT_ALLOW_NETWORKS }),
    session: () => source.session(),
    signal: rest.signal,
    ...(rest.mostMs !== undefined && { mostMs: rest.mostMs }),
    mayStop: name === 'pre',
    emit: context.emit,
    note: context.note,
    countWarning: context.countWarning,
  });
}

/** On a connection of its own: the one of the transfer may be broken or in the middle of something. */
async function afterFailure(context: Context, deps: Pick<HandlerDeps, 'config' | 'sources'>, ending: Ending) {
  const { post } = context.spec.options.hooks;
  if (post.length === 0) return;
  // A signal that is aborted already leaves the hooks their time; one that is not may still tell of a lost lease.
  const limit = AbortSignal.timeout(2 * afterFailureMs);
  const signal = context.signal.aborted ? limit : AbortSignal.any([context.signal, limit]);
  const source = new LazySource({ ...context, signal }, deps);
  try {
    await phase(context, deps, { name: 'post', ending, signal, source, mostMs: afterFailureMs });
  } catch (error) {
    context.logger.warn({ err: error }, 'post hooks were not carried out to the end');
  } finally {
    await source.close();
  }
}

class LazySource {
  readonly #context: Pick<Context, 'spec' | 'start' | 'signal' | 'keep' | 'note'>;
  readonly #deps: Pick<HandlerDeps, 'sources'>;
  #connecting: Promise<SourceSession> | undefined;
  /** The post hooks have begun. */
  postDone = false;

  constructor(
    context: Pick<Context, 'spec' | 'start' | 'signal' | 'keep' | 'note'>,
    deps: Pick<HandlerDeps, 'sources'>,
  ) {
    this.#context = context;
    this.#deps = deps;
  }

  session(): Promise<SourceSession> {
    const { spec, start, signal } = this.#context;
    this.#connecting ??= this.#deps.sources.connect(spec.source, start.source_secret_sealed, signal, this.#context);
    return this.#connecting;
  }

  async close(): Promise<void> {
    // Where connecting failed, that has been thrown to whoever asked for the session.
    const session = await this.#connecting?.catch(() => undefined);
    await session?.close();
  }
}

function stopCause(signal: AbortSignal): RunStopped['stopCause'] | null {
  return signal.aborted && signal.reason instanceof RunStopped ? signal.reason.stopCause : null;
}

function success({ file_count, entry_count, source_bytes, stored_bytes }: Stats): Ending {
  return { outcome: 'success', error_code: null, stats: { file_count, entry_count, source_bytes, stored_bytes } };
}

function failure(error: unknown, stopped: RunStopped['stopCause'] | null): Ending {
  if (stopped === 'cancelled') return { outcome: 'cancelled', error_code: 'RUN_CANCELLED', stats: null };
  if (stopped !== null) return { outcome: 'interrupted', error_code: 'WORKER_DRAINED', stats: null };
  return { outcome: 'failed', error_code: asXVaultError(error).code, stats: null };
}
