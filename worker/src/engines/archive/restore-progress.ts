import { pathToText } from '../../artifact/path-text.ts';
import type { TarMember } from '../../artifact/tar.ts';
import type { RestorePlan } from './restore-plan.ts';

/** How far a restore is. */
export interface RestoreStatus {
  readonly filesDone: number;
  readonly filesTotal: number;
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** The entry written last, as a snapshot path. */
  readonly currentItem: string | null;
}

/** Called once a file and about once a MiB: the caller decides how often to pass it on. */
export type OnRestoreProgress = (status: RestoreStatus) => void;

const reportBytes = 1024 * 1024;

export class RestoreProgress {
  readonly #plan: RestorePlan;
  readonly #report: OnRestoreProgress | undefined;
  #filesDone = 0;
  #bytesDone = 0;
  #reportedBytes = 0;
  #currentItem: string | null = null;

  constructor(plan: RestorePlan, report: OnRestoreProgress | undefined) {
    this.#plan = plan;
    this.#report = report;
  }

  addBytes(count: number): void {
    this.#bytesDone += count;
    if (this.#bytesDone - this.#reportedBytes >= reportBytes) this.#tell();
  }

  entryDone(member: TarMember): void {
    if (member.type !== 'file') return;
    this.#filesDone += 1;
    if (this.#report === undefined) return;
    this.#currentItem = pathToText(member.path);
    this.#tell();
  }

  /** A file that is not written. */
  skipped(member: TarMember): void {
    if (member.type !== 'file') return;
    this.#bytesDone += member.sizeBytes;
    this.entryDone(member);
  }

  #tell(): void {
    this.#reportedBytes = this.#bytesDone;
    // Hard links that become copies are done beside what was planned.
    this.#report?.({
      filesDone: Math.min(this.#filesDone, this.#plan.fileCount),
      filesTotal: this.#plan.fileCount,
      bytesDone: Math.min(this.#bytesDone, this.#plan.totalBytes),
      bytesTotal: this.#plan.totalBytes,
      currentItem: this.#currentItem,
    });
  }
}
