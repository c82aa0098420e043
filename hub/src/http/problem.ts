import { type ErrorCode, errorCatalogue, errorCodes, XVaultError } from '@xvault/shared/errors.ts';
import { z } from 'zod';

/** RFC 9457; `code` is stable, `title` is the sentence of the catalogue. */
export const problem = z
  .strictObject({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.int(),
    code: z.enum(errorCodes),
    /** Values that make the title exact, such as fingerprints. */
    params: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
    errors: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
    /** Found in the Hub's log. */
    request_id: z.string(),
  })
  .meta({ id: 'Problem', description: 'Any error (RFC 9457)' });
export type Problem = z.infer<typeof problem>;

export interface FieldError {
  readonly path: string;
  readonly message: string;
}

/** BAD_REQUEST that names the fields to correct. */
export class InvalidRequest extends XVaultError {
  readonly errors: readonly FieldError[];

  constructor(errors: readonly FieldError[]) {
    super('BAD_REQUEST');
    this.errors = errors;
  }
}

export function invalidField(path: string, message: string): InvalidRequest {
  return new InvalidRequest([{ path, message }]);
}

/** The operator's detail and the cause stay in the log. */
export function toProblem(error: XVaultError, requestId: string): Problem {
  const { http, sentence } = errorCatalogue[error.code];
  return {
    type: 'about:blank',
    title: sentence,
    status: http,
    code: error.code,
    ...(http < 500 && Object.keys(error.params).length > 0 && { params: { ...error.params } }),
    ...(error instanceof InvalidRequest && { errors: [...error.errors] }),
    request_id: requestId,
  };
}

const problemContent = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problem } },
});

/** Response schemas of a route: the given success, and a problem for these codes and those that any route may give. */
export function responses<S extends Record<number, unknown>>(success: S, ...codes: ErrorCode[]) {
  const all: ErrorCode[] = ['BAD_REQUEST', 'UNAUTHENTICATED', 'FORBIDDEN', 'RATE_LIMITED', 'INTERNAL', ...codes];
  const byStatus = Map.groupBy(all, (code) => errorCatalogue[code].http);
  const problems = [...byStatus].map(([status, of]) => [status, problemContent(of.join(', '))] as const);
  return { ...success, ...(Object.fromEntries(problems) as Record<never, never>) };
}
