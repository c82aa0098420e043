import { type ErrorCode, errorCatalogue, XVaultError } from '@xvault/shared/errors.ts';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { isDatabaseUnavailable } from '../db/unavailable.ts';
import { InvalidRequest, toProblem } from './problem.ts';

const retryAfterSeconds = 5;

/** Every error of every route leaves as problem+json. */
export function setErrorHandler(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => sendProblem(request, reply, classify(error)));
}

export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: XVaultError): FastifyReply {
  const { http } = errorCatalogue[error.code];
  const context = { code: error.code, detail: error.detail };
  // Below 500 the cause may quote what the client sent, so it stays out of the log.
  if (http >= 500) request.log.error({ ...context, err: error.cause }, 'request failed');
  else request.log.debug(context, 'request refused');
  if (http === 503 && !reply.hasHeader('retry-after')) reply.header('retry-after', String(retryAfterSeconds));
  if (http === 401) reply.header('www-authenticate', 'Bearer');
  // Sent as text, so that no route's response schema applies.
  return reply
    .code(http)
    .type('application/problem+json')
    .serializer((text: string) => text)
    .send(JSON.stringify(toProblem(error, request.id)));
}

function classify(error: unknown): XVaultError {
  if (error instanceof XVaultError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    return new InvalidRequest(
      error.validation.map(({ instancePath, message }) => ({
        path: instancePath.replace(/^\//, '').replaceAll('/', '.'),
        message: message ?? 'is not valid',
      })),
    );
  }
  const code = codeOfFastify(error);
  if (code !== undefined) return new XVaultError(code, { cause: error });
  const words = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const unavailable = isDatabaseUnavailable(error);
  return new XVaultError(unavailable ? 'SERVICE_UNAVAILABLE' : 'INTERNAL', { detail: words, cause: error });
}

function codeOfFastify(error: unknown): ErrorCode | undefined {
  const { statusCode, code } = error as Partial<FastifyError>;
  if (statusCode === undefined || typeof code !== 'string' || !code.startsWith('FST_')) return undefined;
  if (statusCode === 401) return 'UNAUTHENTICATED';
  if (statusCode === 404) return 'NOT_FOUND';
  if (statusCode === 413) return 'BODY_TOO_LARGE';
  if (statusCode === 415) return 'UNSUPPORTED_MEDIA_TYPE';
  if (statusCode === 429) return 'RATE_LIMITED';
  if (statusCode === 503) return 'SERVICE_UNAVAILABLE';
  return statusCode < 500 ? 'BAD_REQUEST' : undefined;
}
