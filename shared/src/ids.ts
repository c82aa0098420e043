import { v7 } from 'uuid';
import { z } from 'zod';

/** A new UUIDv7: sorts by the time of its making. */
export function newId(): string {
  return v7();
}

/** Ids appear in paths, queue names and URLs, so nothing else is let in. */
export const idSchema = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9_-]+$/, 'only letters, digits, "_" and "-"');
