import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as otherWork } from 'node:timers/promises';

const foldersInEach = 100;
const filesInEach = 100;
export const filesInFolder = foldersInEach * filesInEach;

/** Makes `folders` folders of 100 folders of 100 files each; empty ones, where only their number matters. */
export async function writeEmptyFiles(tree: string, folders: number, signal: AbortSignal): Promise<void> {
  for (let folder = 0; folder < folders; folder += 1) {
    signal.throwIfAborted();
    for (let sub = 0; sub < foldersInEach; sub += 1) {
      const path = join(tree, `folder-${folder}`, `sub-${sub}`);
      mkdirSync(path, { recursive: true });
      for (let file = 0; file < filesInEach; file += 1) {
        writeFileSync(join(path, `file ${String(file).padStart(4, '0')}.dat`), '');
      }
    }
    await otherWork();
  }
}
