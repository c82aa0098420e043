import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DestinationConnection } from '@xvault/shared/destinations.ts';
import type { EventDraft } from '@xvault/shared/events.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { Progress, StartResponse } from '@xvault/shared/internal-api.ts';
import type { ResultInput, RunKind, SpecInput } from '@xvault/shared/run-kinds.ts';
import { runSpec } from '@xvault/shared/run-kinds.ts';
import { generateKeyPair, type KeyPair, seal } from '@xvault/shared/sealing.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import type { CryptSecret, SyncOptions } from '@xvault/shared/sync-options.ts';
import { pino } from 'pino';
import { readWorkerConfig, type WorkerConfig } from '../config.ts';
import { ExportShelf } from '../downloads/export-shelf.ts';
import { RestoreJournal } from '../engines/archive/restore-journal.ts';
import { createAddressGuard } from '../net/guard.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { handleSyncBackup, type SyncSettings } from './sync-backup.ts';
import { createTargetConnecting } from './target-connector.ts';

/** A connection with the secret that the Hub would hand out sealed. */
export interface WithSecret<Connection> {
  readonly connection: Connection;
  readonly secret?: unknown;
}

/** What a run said beside its result. */
export interface Told {
  readonly events: EventDraft[];
  readonly notes: string[];
  readonly progress: Progress[];
  warnings: number;
}

export interface SyncPlatform {
  readonly root: string;
  readonly config: WorkerConfig;
  readonly deps: HandlerDeps;
  /** A run's context as the worker's executor makes it, with secrets sealed as the Hub seals them. */
  contextOf<K extends RunKind>(
    spec: SpecInput<K>,
    secrets: { source?: unknown; destination?: unknown; target?: unknown; crypt?: CryptSecret | null },
    signal?: AbortSignal,
  ): Promise<{ context: RunContext<K>; told: Told }>;
  /** One run of a job from a source to a destination. */
  backup(job: SyncJob, signal?: AbortSignal): Promise<{ result: ResultInput<'backup'>; told: Told }>;
  /** As {@link backup}, of one that is to fail. */
  failedBackup(job: SyncJob, signal?: AbortSignal, settings?: SyncSettings): Promise<{ error: unknown; told: Told }>;
  refOf(job: SyncJob, result: ResultInput<'backup'>): SnapshotRef;
  remove(): Promise<void>;
}

export interface SyncJob {
  readonly source: WithSecret<SourceConnection>;
  readonly destination: WithSecret<DestinationConnection>;
  readonly jobId: string;
  readonly options?: Partial<SyncOptions>;
  readonly crypt?: CryptSecret;
}

const tenantId = 'tenant';
const sourceId = 'source';

/** What handlers of the sync engine need of a worker, on folders of its own. */
export async function makeSyncPlatform(env: Readonly<Record<string, string>> = {}): Promise<SyncPlatform> {
  const root = await mkdtemp(join(tmpdir(), 'xvault-sync-platform-'));
  const keys: KeyPair = await generateKeyPair();
  const config = readWorkerConfig({
    XVAULT_HUB_URL: 'http://127.0.0.1:1',
    XVAULT_REDIS_URL: 'redis://127.0.0.1:1',
    XVAULT_ENROLMENT_TOKEN: 'x'.repeat(32),
    XVAULT_CREDENTIALS_IDENTITY: keys.identity,
    XVAULT_STORAGE_DIR: join(root, 'storage'),
    XVAULT_EXPORTS_DIR: join(root, 'exports'),
    XVAULT_WORKER_DATA_DIR: join(root, 'data'),
    XVAULT_LOCAL_ROOTS: '/',
    XVAULT_RESTORE_ROOTS: '/',
    XVAULT_ALLOW_NETWORKS: '127.0.0.0/8',
    ...env,
  });
  const shelf = new ExportShelf(config.XVAULT_EXPORTS_DIR, async () => undefined);
  // The sync engine's handlers use these parts of a worker alone.
  const guard = createAddressGuard({ allow: config.XVAULT_ALLOW_NETWORKS });
  const targets = createTargetConnecting(config);
  const journal = new RestoreJournal(join(config.XVAULT_WORKER_DATA_DIR, 'restores'));
  const deps = { config, guard, workerId: 'worker-1', shelf, targets, journal } as unknown as HandlerDeps;
  const sealed = async (secret: unknown) =>
    secret === undefined || secret === null ? null : seal(JSON.stringify(secret), keys.recipient);
  let epoch = 0;

  async function contextOf<K extends RunKind>(
    spec: SpecInput<K>,
    secrets: { source?: unknown; destination?: unknown; target?: unknown; crypt?: CryptSecret | null },
    signal = new AbortController().signal,
  ) {
    epoch += 1;
    const told: Told = { events: [], notes: [], progress: [], warnings: 0 };
    const start: StartResponse = {
      run_id: newId(),
      tenant_id: tenantId,
      kind: spec.kind,
      attempt: 1,
      epoch,
      lease_token: 'token',
      lease_ms: 90_000,
      spec: runSpec.parse(spec),
      snapshot_id: newId(),
      source_secret_sealed: await sealed(secrets.source),
      destination_secret_sealed: await sealed(secrets.destination),
      target_secret_sealed: await sealed(secrets.target),
      tenant_identities_sealed: [],
      job_secret_sealed: await sealed(secrets.crypt),
      connection: null,
      run_identity_sealed: null,
      bandwidth_limit_bps: null,
    };
    const context = {
      start,
      spec: start.spec,
      signal,
      bandwidth: { limitBps: null, onChange: () => () => undefined },
      logger: pino({ level: 'silent' }),
      note: (line: string) => void told.notes.push(line),
      keep: async () => ({ generation: null }),
      emit: (event: EventDraft) => void told.events.push(event),
      progress: (progress: Progress) => void told.progress.push(progress),
      countWarning: () => {
        told.warnings += 1;
      },
    } as unknown as RunContext<K>;
    return { context, told };
  }

  async function backupContext(job: SyncJob, signal?: AbortSignal) {
    const spec: SpecInput<'backup'> = {
      kind: 'backup',
      job_id: job.jobId,
      source_id: sourceId,
      source: job.source.connection,
      destination_id: 'destination',
      destination: job.destination.connection,
      engine: 'sync',
      options: {},
      sync: { encryption: job.crypt !== undefined, ...job.options },
      recipients: ['age1unused'],
    };
    const secrets = { source: job.source.secret, destination: job.destination.secret, crypt: job.crypt ?? null };
    return contextOf<'backup'>(spec, secrets, signal);
  }

  return {
    root,
    config,
    deps,
    contextOf,
    async backup(job, signal) {
      const { context, told } = await backupContext(job, signal);
      return { result: await handleSyncBackup(context, deps), told };
    },
    async failedBackup(job, signal, settings) {
      const { context, told } = await backupContext(job, signal);
      try {
        await handleSyncBackup(context, deps, settings);
      } catch (error) {
        return { error, told };
      }
      throw new Error(`the run did not fail: ${JSON.stringify(told)}`);
    },
    refOf(job, { snapshot }) {
      return {
        snapshot_id: snapshot.snapshot_id,
        source_id: sourceId,
        locator: snapshot.locator,
        artifact_bytes: snapshot.artifact_bytes,
        artifact_sha256: snapshot.artifact_sha256,
        index_bytes: snapshot.index_bytes,
        index_sha256: snapshot.index_sha256,
        manifest_bytes: snapshot.manifest_bytes ?? null,
        manifest_sha256: snapshot.manifest_sha256 ?? null,
        destination_id: 'destination',
        destination: job.destination.connection,
        engine: 'sync',
        job_id: job.jobId,
      };
    },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}
