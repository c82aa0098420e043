/** What handlers need to bring a snapshot's files back. */
export { type ExportContents, encryptedContents, exportContents } from './export.ts';
export { writeExportFile } from './export-file.ts';
export { writeExportObject } from './export-object.ts';
export { type DirectoryRestoreOptions, type RestoreResult, restoreToDirectory } from './restore-directory.ts';
export { artifactOrigin, type RestoreOrigin } from './restore-origin.ts';
export { type PlaceRestoreOptions, type PlaceRestoreResult, restoreToPlace } from './restore-place.ts';
export type { OnRestoreProgress, RestoreStatus } from './restore-progress.ts';
