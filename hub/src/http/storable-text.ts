import type { FastifyInstance } from 'fastify';
import { type FieldError, InvalidRequest } from './problem.ts';

/** PostgreSQL's text holds neither NUL nor half of a surrogate pair: refuses them anywhere in a body or query. */
export function refuseUnstorableText(app: FastifyInstance): void {
  app.addHook('preValidation', async ({ body, query }) => {
    const errors = [...unstorable(body, ''), ...unstorable(query, '')];
    if (errors.length > 0) throw new InvalidRequest(errors.slice(0, 20));
  });
}

function* unstorable(value: unknown, path: string): Generator<FieldError> {
  if (typeof value === 'string' && !isStorable(value))
    yield { path, message: 'holds a character that cannot be stored' };
  if (typeof value !== 'object' || value === null) return;
  for (const [name, item] of Object.entries(value)) {
    if (isStorable(name)) yield* unstorable(item, path === '' ? name : `${path}.${name}`);
    else yield { path, message: 'has a field whose name cannot be stored' };
  }
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}
