/** For tests: real snapshots of databases on a real disk. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { archiveOptions } from '@xvault/shared/archive-options.ts';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import type { DatabaseSecret, SourceConnection } from '@xvault/shared/sources.ts';
import { type ArtifactReader, openArtifact } from '../../artifact/artifact-reader.ts';
import { CompressPool } from '../../artifact/compress-pool.ts';
import { pathToText } from '../../artifact/path-text.ts';
import { backupToSnapshot } from '../../engines/archive/backup.ts';
import { openDatabaseTarget } from '../../engines/database/open-target.ts';
import {
  type RestoreDatabasesOptions,
  type RestoredDatabases,
  restoreDatabases,
} from '../../engines/database/restore.ts';
import { createAddressGuard } from '../../net/guard.ts';
import { createLocalFsStorage, localPathOf } from '../../storage/local-fs.ts';
import type { SourceSession } from '../connector.ts';

const run = promisify(execFile);
export const never = new AbortController().signal;
export const loopbackGuard = createAddressGuard({ allow: ['127.0.0.0/8', '::1/128'] });

export interface Shelf {
  readonly folder: string;
  /** Skipped items of all backups, as `CODE path`. */
  readonly warnings: string[];
  /** Backs a session up, closes it, and opens what came of it. */
  backUp(session: SourceSession, signal?: AbortSignal): Promise<ArtifactReader>;
  /** Names of all files below the storage. */
  stored(): Promise<string[]>;
  /** Unpacks the newest snapshot with `age`, `zstd` and `tar` alone. */
  unpack(): Promise<string>;
  remove(): Promise<void>;
}

export async function makeShelf(): Promise<Shelf> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'xvault-db-')));
  const root = join(folder, 'storage');
  await mkdir(root);
  const storage = createLocalFsStorage(root);
  const { identity, recipient } = await generateKeyPair();
  const pool = new CompressPool(1);
  const readers: ArtifactReader[] = [];
  const warnings: string[] = [];
  let count = 0;
  let place = { tenantId: 't', sourceId: 's', snapshotId: '' };
  return {
    folder,
    warnings,
    async backUp(session, signal = never) {
      count += 1;
      place = { ...place, snapshotId: `snap${count}` };
      try {
        await backupToSnapshot({
          session,
          storage,
          place,
          epoch: 1,
          provenance: { jobId: 'j', runId: 'r', attempt: 1, workerId: 'w', destinationId: 'd' },
          recipients: [recipient],
          options: archiveOptions.parse({ compression_level: 1 }),
          pool,
          signal,
          onProgress: () => undefined,
          onWarning: (item) => warnings.push(`${item.skipped} ${pathToText(item.path)}`),
        });
      } finally {
        await session.close();
      }
      const reader = await openArtifact({ storage, place, identities: [identity] });
      readers.push(reader);
      return reader;
    },
    async stored() {
      const found = await readdir(root, { recursive: true });
      return found.filter((path) => /\/snapshots\/./.test(path));
    },
    async unpack() {
      const [keyFile, target] = [join(folder, 'identity'), join(folder, `unpacked${count}`)];
      await mkdir(target);
      await writeFile(keyFile, `${identity}\n`, { mode: 0o600 });
      const artifact = join(root, localPathOf(place), 'backup.tar.zst.enc');
      const script = 'set -o pipefail; age -d -i "$1" "$2" | zstd -dcq | tar -x -C "$3"';
      await run('bash', ['-c', script, 'bash', keyFile, artifact, target]);
      return target;
    },
    async remove() {
      await Promise.all(readers.map((reader) => reader.close()));
      await pool.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface RestoreInto extends Partial<RestoreDatabasesOptions> {
  readonly reader: ArtifactReader;
  readonly source: SourceConnection;
  readonly secret: DatabaseSecret;
  readonly runId?: string;
}

/** Restores as the handler does. */
export async function restoreInto(options: RestoreInto): Promise<RestoredDatabases & { notes: string[] }> {
  const { source, secret, runId = 'run', signal = never } = options;
  const target = await openDatabaseTarget(loopbackGuard, source, secret, runId, signal);
  const notes: string[] = [];
  try {
    const restored = await restoreDatabases({
      paths: null,
      databases: null,
      overwrite: false,
      dryRun: false,
      onProgress: () => undefined,
      onRestored: (_name, note) => {
        if (note !== null) notes.push(note);
      },
      ...options,
      target,
      signal,
    });
    return { ...restored, notes };
  } finally {
    await target.close();
  }
}

/** A private authority, and a certificate of it for one name. */
export async function makeCertificates(folder: string, name: string) {
  const file = (part: string) => join(folder, part);
  const openssl = (...args: string[]) => run('openssl', args);
  await openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=test authority',
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.pem'),
  );
  await openssl(
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    file('server.key'),
    '-out',
    file('server.csr'),
  );
  await writeFile(file('server.ext'), `subjectAltName=DNS:${name}\n`);
  await openssl(
    'x509',
    '-req',
    '-in',
    file('server.csr'),
    '-CA',
    file('ca.pem'),
    '-CAkey',
    file('ca.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    file('server.ext'),
    '-out',
    file('server.pem'),
  );
  return { ca: file('ca.pem'), key: file('server.key'), certificate: file('server.pem') };
}
