import type { DatabaseDescription } from '../../connectors/database/description.ts';

/** What of a name is there at a target. `leftover`: an attempt of this same run began it and did not come to its end. */
export type DatabaseState = 'absent' | 'empty' | 'full' | 'leftover';

export interface DatabaseRestore {
  readonly description: DatabaseDescription;
  /** The name that it gets. */
  readonly name: string;
  /** As {@link DatabaseTarget.state} said; `full` means that it is to be replaced. */
  readonly state: DatabaseState;
  /** The dump from its beginning; may be asked for again. */
  readonly content: () => AsyncIterable<Buffer>;
  readonly signal: AbortSignal;
}

export interface DatabaseRestored {
  /** What the target would not take, although the data is whole; for operators. Null when nothing. */
  readonly note: string | null;
}

/** A live connection to a server that databases are restored to. Throws SOURCE_…, DATABASE_…. */
export interface DatabaseTarget {
  takes(description: DatabaseDescription): boolean;
  state(name: string): Promise<DatabaseState>;
  /** Throws DATABASE_RESTORE_FAILED; what it made itself is gone then, what was there before is told in the detail. */
  restore(restore: DatabaseRestore): Promise<DatabaseRestored>;
  close(): Promise<void>;
}
