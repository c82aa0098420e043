import type { z } from 'zod';
import { InvalidRequest } from './problem.ts';

/** Checks a part of a body whose schema is known only after a look at the database. Throws BAD_REQUEST. */
export function parseField<T extends z.ZodType>(field: string, schema: T, value: unknown): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new InvalidRequest(
    parsed.error.issues.map(({ path, message }) => ({ path: [field, ...path].join('.'), message })),
  );
}
