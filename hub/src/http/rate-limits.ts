import { XVaultError } from '@xvault/shared/errors.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

const windowMs = 60_000;

declare module 'fastify' {
  interface FastifyRequest {
    /** What the limit under way counts by. */
    rateLimitKey: string;
  }
}

type Limit = ReturnType<FastifyInstance['createRateLimit']>;

/** Counts in this process, so that no limit depends on Redis; N Hubs let N times as much through. */
export function createLimit(app: FastifyInstance, maxPerMinute: number): Limit {
  return app.createRateLimit({
    max: maxPerMinute,
    timeWindow: windowMs,
    keyGenerator: (request) => request.rateLimitKey,
  });
}

/** Counts one more for the key; throws RATE_LIMITED, with Retry-After, when it is one too many. */
export async function enforceLimit(limit: Limit, request: FastifyRequest, reply: FastifyReply, key: string) {
  request.rateLimitKey = key;
  const state = await limit(request);
  if (state.isAllowed || !state.isExceeded) return;
  reply.header('retry-after', String(state.ttlInSeconds));
  throw new XVaultError('RATE_LIMITED');
}
