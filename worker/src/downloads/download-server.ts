import { open } from 'node:fs/promises';
import { type ErrorCode, errorCatalogue, XVaultError } from '@xvault/shared/errors.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { z } from 'zod';
import { type HubClient, HubRefused } from '../lanes/hub-client.ts';
import type { ExportShelf } from './export-shelf.ts';

export interface DownloadDeps {
  readonly hub: HubClient;
  readonly shelf: ExportShelf;
  readonly workerId: string;
  readonly logger: Logger;
}

const parameters = z.object({ id: idSchema });
const query = z.object({ token: z.string().min(1).max(4096) });

/** Serves exports to whoever holds a one-time link of the Hub. Requests are not logged: their URLs hold the link's token. */
export function buildDownloadServer(deps: DownloadDeps): FastifyInstance {
  // A HEAD would end the one-time link without giving anything.
  const app = Fastify({ logger: false, bodyLimit: 1024, exposeHeadRoutes: false });
  app.setErrorHandler((error, _request, reply) => sendProblem(reply, asCode(error), deps.logger, error));
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, 'NOT_FOUND', deps.logger));
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/exports/:id', async (request, reply) => {
    const id = parameters.safeParse(request.params);
    const link = query.safeParse(request.query);
    if (!id.success || !link.success) return sendProblem(reply, 'NOT_FOUND', deps.logger);
    const claim = await deps.hub.claimExport(id.data.id, deps.workerId, link.data.token);
    return sendFile(reply, deps.shelf.file(claim.export_id, claim.file_name), claim.file_name);
  });
  return app;
}

async function sendFile(reply: FastifyReply, path: string, name: string): Promise<FastifyReply> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw new XVaultError(cause.code === 'ENOENT' ? 'EXPORT_EXPIRED' : 'STORAGE_FAILED', { cause });
  });
  const { size } = await file.stat();
  return reply
    .header('content-type', name.endsWith('.zip') ? 'application/zip' : 'application/zstd')
    .header('content-length', size)
    .header('content-disposition', `attachment; filename="${name.replace(/[^A-Za-z0-9._-]/g, '_')}"`)
    .header('cache-control', 'no-store')
    .header('x-content-type-options', 'nosniff')
    .send(file.createReadStream());
}

function asCode(error: unknown): ErrorCode {
  if (error instanceof XVaultError) return error.code;
  if (error instanceof HubRefused)
    return Object.hasOwn(errorCatalogue, error.code) ? (error.code as ErrorCode) : 'NOT_FOUND';
  return 'SERVICE_UNAVAILABLE';
}

function sendProblem(reply: FastifyReply, code: ErrorCode, logger: Logger, error?: unknown): FastifyReply {
  const { http, sentence } = errorCatalogue[code];
  if (http >= 500) logger.error({ err: error, code }, 'download failed');
  return reply
    .code(http)
    .type('application/problem+json')
    .send({ type: 'about:blank', title: sentence, status: http, code });
}
