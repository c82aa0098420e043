import type { RestoreChange } from '@xvault/shared/restore-targets.ts';
import { pathToText } from '../../artifact/path-text.ts';
import type { TarMember } from '../../artifact/tar.ts';

type Action = RestoreChange['action'];
export type ActionCounts = Partial<Record<Action, number>>;

/** What a dry run lists at most; the counts go on. */
const listedChanges = 1000;
/** So many refusals in a row, with nothing done between them, are no longer about single paths. */
const hopelessFaults = 200;

/** Told of single paths. */
export interface RestoreListener {
  /** One path could not be restored; the run goes on and ends with a warning. */
  onFailed(path: Buffer, detail: string): void;
  /** The whole new path, below the target's root. */
  onRenamed?(path: Buffer, to: Buffer): void;
}

/** Counts what was done, or in a dry run would be. */
export class RestoreTally {
  readonly counts: ActionCounts = {};
  readonly changes: RestoreChange[] = [];
  fileCount = 0;
  bytes = 0;
  #faults = 0;
  #faultsInRow = 0;
  /** Of what is no directory; and whether a directory is there. */
  #hasDone = false;
  #hasFailed = false;
  #hasDirectories = false;
  readonly #lists: boolean;
  readonly #listener: RestoreListener;

  constructor(lists: boolean, listener: RestoreListener) {
    this.#lists = lists;
    this.#listener = listener;
  }

  done(action: Exclude<Action, 'fail'>, member: TarMember, to?: Buffer): void {
    this.#faultsInRow = 0;
    this.#count(action, member);
    if (member.type === 'directory') this.#hasDirectories = true;
    else this.#hasDone = true;
    if (action === 'skip') return;
    if (action === 'rename' && to !== undefined) this.#listener.onRenamed?.(member.path, to);
    if (member.type !== 'file' && member.type !== 'hardlink') return;
    this.fileCount += 1;
    this.bytes += member.sizeBytes;
  }

  /** It cannot be restored there. `detail` null: it is below something that has been told of already. */
  failed(member: TarMember, detail: string | null): void {
    this.#count('fail', member);
    if (member.type !== 'directory') this.#hasFailed = true;
    if (detail !== null) this.#listener.onFailed(member.path, detail);
  }

  /** The target refused it. */
  fault(member: TarMember, detail: string): void {
    this.#faults += 1;
    this.#faultsInRow += 1;
    this.failed(member, detail);
  }

  /** A directory that is there, with another mode or time than it should have. */
  unfinished(path: Buffer, detail: string): void {
    this.#listener.onFailed(path, detail);
  }

  /** Whether nothing works any more. */
  get isHopeless(): boolean {
    return this.#faultsInRow >= hopelessFaults;
  }

  /** Whether the target refused something and nothing else was done; directories alone are nothing where files were to be written. */
  get isFailure(): boolean {
    return this.#faults > 0 && !this.#hasDone && (this.#hasFailed || !this.#hasDirectories);
  }

  #count(action: Action, member: TarMember): void {
    this.counts[action] = (this.counts[action] ?? 0) + 1;
    if (!this.#lists || action === 'skip' || this.changes.length >= listedChanges) return;
    this.changes.push({
      path: pathToText(member.path),
      action,
      type: member.type,
      size_bytes: member.type === 'file' || member.type === 'hardlink' ? member.sizeBytes : 0,
    });
  }
}
