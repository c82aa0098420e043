import type { ItemCode, SkippedItem } from '../connector.ts';

const codesBySystemError: Record<string, ItemCode> = {
  ENOENT: 'ITEM_VANISHED',
  ESTALE: 'ITEM_VANISHED',
  // Something else has taken the name: a symlink, a file in place of a directory.
  ELOOP: 'ITEM_VANISHED',
  ENOTDIR: 'ITEM_VANISHED',
  // A socket, or a device without a driver.
  ENXIO: 'ITEM_UNSUPPORTED',
  ENODEV: 'ITEM_UNSUPPORTED',
  ENAMETOOLONG: 'ITEM_NAME_UNSUPPORTED',
};

/** Shortages of this process or machine: no item is at fault, so the run must not go on without it. */
const shortages = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** What a failed system call means for one item; throws on when it is not about the item. */
export function skippedBy(error: unknown, path: Buffer): SkippedItem {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code) || shortages.has(code)) throw error;
  return { path, skipped: codesBySystemError[code] ?? 'ITEM_UNREADABLE', detail: `${syscall ?? 'reading'}: ${code}` };
}
