import type { ReadResult, SourceSession } from '../connector.ts';
import type { SshClient } from '../ssh/client.ts';
import { runOnServer } from '../ssh/run-command.ts';
import { type DumpPlan, DumpSource, entryOf } from './dump-source.ts';
import { partBytes } from './entry-names.ts';

export interface DatabaseSessionOptions {
  readonly plan: DumpPlan;
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
  readonly ssh: SshClient | null;
  readonly close: () => Promise<void>;
}

/** A server's databases as a source of files. */
export function databaseSession({ plan, facts, ssh, close }: DatabaseSessionOptions): SourceSession {
  const source = new DumpSource(plan);
  return {
    smallFileBytes: partBytes,
    // The tool goes on while the parts before are hashed and compressed: no more than this many are held.
    batchesInFlight: 4,
    async *list({ signal }) {
      yield entryOf('.', 'directory', 0);
      yield* source.list(signal);
      yield* source.listExtra(signal);
    },
    readMany: (entries): Promise<ReadResult[]> => Promise.all(entries.map((entry) => source.read(entry))),
    recycle: (results) => source.recycle(results),
    open: async () => {
      throw new Error('a database has no large files');
    },
    measure: async () => source.measure(),
    describe: () => ({ ...facts, dumped_databases: source.dumpedDatabases, dumped_bytes: source.dumpedBytes }),
    ...(ssh === null ? {} : { runCommand: (command, options) => runOnServer(ssh, command, options) }),
    close,
  };
}
