import { XVaultError } from '@xvault/shared/errors.ts';
import { equalHashes, hashToken } from '@xvault/shared/tokens.ts';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { WorkerRow } from '../db/schema.ts';
import { createWorkerFinder } from '../workers/workers.service.ts';

declare module 'fastify' {
  interface FastifyRequest {
    worker: WorkerRow | null;
  }
}

/** Every request of the scope carries the token of an enrolled worker. Runs before validation. */
export const workerAuth = fp(
  async (app) => {
    app.decorateRequest('worker', null);
    const find = createWorkerFinder(app.deps.open.db);
    app.addHook('onRequest', async (request) => {
      const worker = await find(bearerToken(request));
      if (worker === undefined) throw new XVaultError('UNAUTHENTICATED');
      request.worker = worker;
    });
  },
  { name: 'worker-auth', encapsulate: false },
);

/** The worker that asks. Throws FORBIDDEN when it speaks for another. */
export function requireWorker(request: FastifyRequest, claimedId?: string): WorkerRow {
  const { worker } = request;
  if (worker === null) throw new XVaultError('UNAUTHENTICATED');
  if (claimedId !== undefined && claimedId !== worker.id) throw new XVaultError('FORBIDDEN');
  return worker;
}

/** Throws UNAUTHENTICATED unless the request carries the enrolment token; the compare takes the same time for any. */
export function requireEnrolment(request: FastifyRequest, enrolmentToken: string): void {
  const isRight = equalHashes(hashToken(bearerToken(request)), hashToken(enrolmentToken));
  if (!isRight) throw new XVaultError('UNAUTHENTICATED');
}

function bearerToken(request: FastifyRequest): string {
  const token = /^Bearer ([A-Za-z0-9._~+/=-]{1,512})$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) throw new XVaultError('UNAUTHENTICATED');
  return token;
}
