import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArchiveOptions, archiveOptions } from '@xvault/shared/archive-options.ts';
import type { Progress } from '@xvault/shared/internal-api.ts';
import { generateKeyPair, type KeyPair } from '@xvault/shared/sealing.ts';
import { snapshotRef } from '@xvault/shared/snapshots.ts';
import { afterAll, beforeAll } from 'vitest';
import { openArtifact } from '../../artifact/artifact-reader.ts';
import { never, temporaryFolder } from '../../artifact/codec.test-kit.ts';
import { CompressPool } from '../../artifact/compress-pool.ts';
import type { IndexEntry } from '../../artifact/entry.ts';
import { pathToText } from '../../artifact/path-text.ts';
import type { FilePieces, SourceSession } from '../../connectors/connector.ts';
import { createLocalConnector } from '../../connectors/local/connector.ts';
import { createLocalFsStorage, localPathOf } from '../../storage/local-fs.ts';
import { type BackupResult, backupToSnapshot } from './backup.ts';
import { validateSnapshot } from './validate.ts';

const place = { tenantId: 't', sourceId: 's', snapshotId: 'snap' };
const provenance = { jobId: 'j', runId: 'r', attempt: 2, workerId: 'w', destinationId: 'd' };
const pool = new CompressPool(2);
afterAll(() => pool.close());

let keys: KeyPair;
beforeAll(async () => {
  keys = await generateKeyPair();
});

/** A source folder and a storage folder of one test, and a backup of one into the other. */
export async function workbench() {
  const folder = await temporaryFolder();
  const source = join(folder.path, 'source');
  const root = join(folder.path, 'storage');
  await mkdir(source);
  const storage = createLocalFsStorage(root);
  const warnings: string[] = [];
  const reports: Progress[] = [];
  async function backup(meddle: Meddling = {}, signal = never): Promise<BackupResult> {
    const session = await createLocalConnector({ allowedRoots: meddle.allowedRoots ?? [source] }).connect(
      { path: source },
      {},
      never,
    );
    try {
      return await backupToSnapshot({
        session: (meddle.wrap ?? asItIs)(meddling(session, meddle)),
        storage,
        place,
        epoch: 3,
        provenance,
        recipients: [keys.recipient],
        options: archiveOptions.parse({ compression_level: 1, ...meddle.options }),
        pool,
        signal,
        onProgress: (progress) => reports.push(progress),
        onWarning: (item) => warnings.push(`${item.skipped} ${pathToText(item.path)}`),
      });
    } finally {
      await session.close();
    }
  }
  const open = () => openArtifact({ storage, place, identities: [keys.identity] });
  async function entries(): Promise<IndexEntry[]> {
    const reader = await open();
    const all: IndexEntry[] = [];
    for await (const entry of reader.entries(never)) all.push(entry);
    await reader.close();
    return all;
  }
  async function content(entry: IndexEntry | undefined): Promise<Buffer> {
    const reader = await open();
    const pieces: Buffer[] = [];
    for await (const piece of reader.readTar(entry?.dataOffset ?? -1, entry?.sizeBytes ?? -1, never))
      pieces.push(piece);
    await reader.close();
    return Buffer.concat(pieces);
  }
  async function validate({ snapshot: result }: BackupResult) {
    const { snapshot_id, artifact_bytes, artifact_sha256, index_bytes, index_sha256 } = result;
    const locator = { storage_backend: 'local_fs', worker_id: 'w', local_path: localPathOf(place) };
    const stored = { artifact_bytes, artifact_sha256, index_bytes, index_sha256 };
    const ref = snapshotRef.parse({ snapshot_id, source_id: place.sourceId, locator, ...stored });
    return validateSnapshot({ storage, place, identities: [keys.identity], ref, level: 'full', signal: never });
  }
  const snapshot = join(root, localPathOf(place));
  return {
    folder,
    identity: keys.identity,
    source,
    root,
    snapshot,
    warnings,
    reports,
    backup,
    open,
    entries,
    content,
    validate,
  };
}

interface Meddling {
  /** Before small files are read. */
  readonly beforeRead?: () => Promise<void>;
  /** Before a large file is opened. */
  readonly beforeOpen?: () => Promise<void>;
  /** After the first bytes of a large file. */
  readonly whileReading?: () => Promise<void>;
  /** What a run puts around its session. */
  readonly wrap?: (session: SourceSession) => SourceSession;
  readonly options?: Partial<ArchiveOptions>;
  /** The operator's; the source by default. */
  readonly allowedRoots?: readonly string[];
}

function asItIs(session: SourceSession): SourceSession {
  return session;
}

/** The real session; at chosen moments something else happens on the disk. */
function meddling(session: SourceSession, meddle: Meddling): SourceSession {
  return {
    smallFileBytes: session.smallFileBytes,
    batchesInFlight: session.batchesInFlight,
    list: (options) => session.list(options),
    measure: (options) => session.measure(options),
    close: () => session.close(),
    async readMany(entries, signal) {
      await meddle.beforeRead?.();
      return session.readMany(entries, signal);
    },
    async pack(operations, into, signal) {
      await meddle.beforeRead?.();
      if (session.pack === undefined) throw new Error('the local source makes frames');
      return session.pack(operations, into, signal);
    },
    async open(entry, signal) {
      await meddle.beforeOpen?.();
      const stream = await session.open(entry, signal);
      if (!('chunks' in stream)) return stream;
      const chunks = async function* () {
        let first = true;
        for await (const chunk of stream.chunks) {
          yield chunk;
          if (first) await meddle.whileReading?.();
          first = false;
        }
      };
      const { pieces } = stream;
      let isFirst = true;
      return {
        ...stream,
        chunks: chunks(),
        ...(pieces !== undefined && {
          pieces: {
            ...pieces,
            async pack(at, header, into, pieceSignal) {
              // The first piece alone, then what happens meanwhile.
              if (isFirst) {
                isFirst = false;
                const first = await pieces.pack(at, header, into, pieceSignal);
                await meddle.whileReading?.();
                return first;
              }
              return pieces.pack(at, header, into, pieceSignal);
            },
          } satisfies FilePieces,
        }),
        changed: () => stream.changed(),
        close: () => stream.close(),
      };
    },
  };
}
