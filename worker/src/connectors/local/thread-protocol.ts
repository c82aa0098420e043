import type { RootDirectory } from './directory-cursor.ts';

/** What a thread is started with. Its descriptors are the process's own. */
export interface ThreadData {
  readonly rootFd: RootDirectory['fd'];
  readonly rootPath: Uint8Array;
}

export type ThreadRequest =
  /** Begins a walk; one per thread. */
  | { readonly op: 'walk'; readonly oneFileSystem: boolean }
  /** The next items of the walk. */
  | { readonly op: 'items' }
  /** Counts some more of the walk. */
  | { readonly op: 'count' }
  /** Reads small files; `paths` are records of bytes. */
  | {
      readonly op: 'read';
      readonly count: number;
      /** Where the contents go, one after the other; holds what was listed of all files. */
      readonly room: SharedArrayBuffer;
      readonly paths: ArrayBuffer;
      readonly limitBytes: number;
    }
  | { readonly op: 'open'; readonly path: Uint8Array }
  /** Closes the thread's descriptors and ends it. */
  | { readonly op: 'close' };

export interface ItemsReply {
  readonly count: number;
  readonly records: ArrayBuffer;
  readonly ended: boolean;
}
export interface CountReply {
  readonly fileCount: number;
  readonly totalBytes: number;
  readonly ended: boolean;
}
export interface ReadReply {
  readonly records: ArrayBuffer;
  /** Contents of files that have grown since they were listed. */
  readonly grown: ArrayBuffer[];
}
export interface OpenReply {
  /** The caller closes it; absent where the file could not be opened. */
  readonly fd?: number;
  readonly record: ArrayBuffer;
}

export type ThreadReply =
  | { readonly ok: true; readonly value: ItemsReply | CountReply | ReadReply | OpenReply | undefined }
  | { readonly ok: false; readonly code: string | undefined; readonly message: string };
