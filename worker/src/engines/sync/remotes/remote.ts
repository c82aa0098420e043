import type { RemoteOptions } from './config-file.ts';
import type { WebAccess } from './web.ts';

/** One side of a transfer as rclone is told of it. */
export interface Remote {
  readonly options: RemoteOptions;
  /** What follows the colon: bucket, share or directory. */
  readonly root: string;
  /** PEM certificates to trust beside the system's. */
  readonly caPem: string | null;
  readonly hashes: HashSupport;
  /** Absent where it does not speak HTTP, and so is not to. */
  readonly web?: WebAccess;
}

/**
 * What listing with hashes costs: `listed`, they come with the listing; `none`, there are none or each would read the whole object.
 */
export type HashSupport = 'listed' | 'none';

/** `a/b`, whatever of the two is empty; no slashes doubled. */
export function joinRoot(root: string, path: string): string {
  if (path === '') return root;
  if (root === '' || root.endsWith('/')) return `${root}${path}`;
  return `${root}/${path}`;
}
