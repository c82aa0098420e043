/** What handlers need to bring a snapshot's files back. */
export { type ExportFormat, type ExportOptions, type ExportResult, exportSnapshot } from './export.ts';
export { type DirectoryRestoreOptions, type RestoreResult, restoreToDirectory } from './restore-directory.ts';
export type { OnRestoreProgress, RestoreStatus } from './restore-progress.ts';
