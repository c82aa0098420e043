import { z } from 'zod';

/** What of a snapshot's index is wanted; all that is set must hold. */
export const fileSearch = z.strictObject({
  /** Part of the path, upper and lower case alike. */
  text: z.string().min(1).max(1024).nullable().default(null),
  /** Pattern as in .gitignore, from the snapshot's root. */
  glob: z.string().min(1).max(4096).nullable().default(null),
  min_size_bytes: z.int().min(0).nullable().default(null),
  max_size_bytes: z.int().min(0).nullable().default(null),
  modified_after: z.iso.datetime({ offset: true }).nullable().default(null),
  modified_before: z.iso.datetime({ offset: true }).nullable().default(null),
});
export type FileSearch = z.infer<typeof fileSearch>;

/** What a source can be asked to list for a picker: buckets or shares of a server, folders, shared drives of an account. */
export const browseWhat = z.enum(['buckets', 'folders', 'drives']);
export type BrowseWhat = z.infer<typeof browseWhat>;
/** Id of an item: what a source's config takes for it. */
export const browseItem = z.strictObject({ id: z.string(), name: z.string() });
export const browseRequest = z.strictObject({
  what: browseWhat,
  /** Id of the folder whose folders are wanted; empty for the topmost. */
  parent: z.string().max(4096).default(''),
  /** Of the page before; null for the first. */
  cursor: z.string().max(4096).nullable().default(null),
  limit: z.int().min(1).max(1000).default(200),
});
export type BrowseRequest = z.infer<typeof browseRequest>;
