import { v7 } from 'uuid';
import { z } from 'zod';

/** A new UUIDv7: sorts by the time of its making. */
export function newId(): string {
  return v7();
}

/** When a {@link newId} was made, by the clock of whoever made it; 0 for an id of another kind. */
export function idTimeMs(id: string): number {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-7/.test(id) ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : 0;
}

/** Ids appear in paths, queue names and URLs, so nothing else is let in. */
export const idSchema = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9_-]+$/, 'only letters, digits, "_" and "-"');
