import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';
import { invalidField } from './problem.ts';

/** Query of every list: newest first, `cursor` from the page before. */
export const pageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(128).optional(),
});
export type PageQuery = z.infer<typeof pageQuery>;

/** What a repository's list function takes. */
export interface PageRequest {
  readonly limit: number;
  /** Only rows with a smaller id. */
  readonly beforeId: string | undefined;
}

/** A page of the list; `next_cursor` is null on the last one. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.strictObject({ items: z.array(item), next_cursor: z.string().nullable() });
}

/** Throws BAD_REQUEST for a cursor that no page has given. One row more is asked for, to know whether a page follows. */
export function toPageRequest({ limit, cursor }: PageQuery): PageRequest {
  if (cursor === undefined) return { limit: limit + 1, beforeId: undefined };
  const id = Buffer.from(cursor, 'base64url').toString('utf8');
  if (!idSchema.safeParse(id).success) throw invalidField('cursor', 'is not a cursor of this list');
  return { limit: limit + 1, beforeId: id };
}

export function toPage<R extends { id: string }, V>(rows: readonly R[], limit: number, view: (row: R) => V) {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const hasMore = rows.length > limit && last !== undefined;
  return { items: shown.map(view), next_cursor: hasMore ? Buffer.from(last.id).toString('base64url') : null };
}
