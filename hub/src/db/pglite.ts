import { mkdir } from 'node:fs/promises';
import { PGlite, types } from '@electric-sql/pglite';
import { guardFolder } from '@xvault/shared/folder-guard.ts';
import { Kysely, PGliteDialect } from 'kysely';
import { createChannels } from './channels.ts';
import type { DatabaseOptions, OpenDatabase } from './database.ts';
import type { Database } from './schema.ts';

/** The embedded database: in a folder that one process may use at a time, or in memory when there is none. */
export async function openPglite(folder: string | undefined, { logger }: DatabaseOptions): Promise<OpenDatabase> {
  if (folder !== undefined) await mkdir(folder, { recursive: true, mode: 0o700 });
  const release = folder === undefined ? undefined : await guardFolder(folder);
  const pglite = new PGlite({ ...(folder !== undefined && { dataDir: folder }), parsers: { [types.INT8]: Number } });
  try {
    await pglite.waitReady;
  } catch (error) {
    await release?.();
    throw error;
  }
  const db = new Kysely<Database>({ dialect: new PGliteDialect({ pglite }) });
  const channels = createChannels(logger);
  // Its own listen() loses track of names that need quotes.
  pglite.onNotification(channels.emit);
  let closing: Promise<void> | undefined;

  async function close(): Promise<void> {
    await db.destroy();
    // Kysely closes it only when it was used.
    if (!pglite.closed) await pglite.close();
    await release?.();
  }
  return {
    db,
    kind: 'pglite',
    async listen(channel, onPayload) {
      channels.add(channel, onPayload);
      await pglite.exec(`listen ${quote(channel)}`);
      return async () => {
        if (channels.remove(channel, onPayload) && closing === undefined)
          await pglite.exec(`unlisten ${quote(channel)}`);
      };
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
}

function quote(channel: string): string {
  return `"${channel.replaceAll('"', '""')}"`;
}
