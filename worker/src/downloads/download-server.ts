import { type ErrorCode, errorCatalogue, XVaultError } from '@xvault/shared/errors.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type HubClient, HubRefused } from '../lanes/hub-client.ts';
import type { DownloadSessions } from './download-sessions.ts';
import { contentTypeOf, fileHeaders, sendFile } from './export-files.ts';
import type { ExportShelf } from './export-shelf.ts';

type Claimed = Awaited<ReturnType<HubClient['claimExport']>>;

export interface DownloadDeps {
  readonly hub: HubClient;
  readonly shelf: ExportShelf;
  readonly sessions: DownloadSessions;
  /** How long after the claim a download may be gone on with. */
  readonly resumeMs: number;
  /** Where customers see this server; null when as it is. */
  readonly publicUrl: string | null;
  /** A short-lived address of an export in a bucket. */
  readonly presign: (place: NonNullable<Claimed['s3']>, file: { name: string; contentType: string }) => Promise<string>;
  readonly workerId: string;
  readonly logger: Logger;
}

const parameters = z.object({ id: idSchema });
const query = z.object({
  token: z.string().min(1).max(4096).optional(),
  session: z.string().min(1).max(128).optional(),
});
const cookieName = 'xvault_download';

/**
 * Serves exports to whoever comes first with a one-time link of the Hub, and to the same one again for a while: it is given a session,
 * as a cookie and as an address in a header. Requests are not logged: their URLs hold tokens.
 */
export function buildDownloadServer(deps: DownloadDeps): FastifyInstance {
  const app = Fastify({ logger: false, bodyLimit: 1024, exposeHeadRoutes: false });
  app.setErrorHandler((error, _request, reply) => sendProblem(reply, asCode(error), deps.logger, error));
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, 'NOT_FOUND', deps.logger));
  app.get('/healthz', () => ({ status: 'ok' }));
  app.route({
    method: ['GET', 'HEAD'],
    url: '/exports/:id',
    handler: (request, reply) => handleExport(deps, request, reply),
  });
  return app;
}

async function handleExport(deps: DownloadDeps, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const id = parameters.safeParse(request.params);
  const asked = query.safeParse(request.query);
  if (!id.success || !asked.success) return sendProblem(reply, 'NOT_FOUND', deps.logger);
  const { id: exportId } = id.data;
  const { token, session = cookieOf(request) } = asked.data;
  if (session !== undefined && deps.sessions.isValid(exportId, session, Date.now())) {
    const name = await deps.shelf.fileName(exportId);
    return sendFile(request, reply, { exportId, name, path: deps.shelf.file(exportId, name) });
  }
  if (token === undefined) return sendProblem(reply, 'NOT_FOUND', deps.logger);
  return request.method === 'HEAD'
    ? describeExport(deps, exportId, token, reply)
    : claimExport(deps, exportId, token, request, reply);
}

/** What the link would give; the link stays. */
async function describeExport(
  { hub, workerId }: DownloadDeps,
  exportId: string,
  token: string,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { file_name, size_bytes } = await hub.claimExport(exportId, workerId, token, { consume: false });
  return reply.headers(fileHeaders(file_name)).header('content-length', size_bytes).send();
}

async function claimExport(
  deps: DownloadDeps,
  exportId: string,
  token: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { file_name: name, s3, expires_at } = await deps.hub.claimExport(exportId, deps.workerId, token);
  if (s3 !== null) {
    const url = await deps.presign(s3, { name, contentType: contentTypeOf(name) });
    return reply.header('cache-control', 'no-store').redirect(url, 302);
  }
  const endsAtMs = Math.min(Date.now() + deps.resumeMs, Date.parse(expires_at));
  const session = deps.sessions.make(exportId, endsAtMs);
  const place = new URL(`exports/${exportId}`, `${deps.publicUrl ?? 'http://worker'}/`.replace(/\/+$/, '/'));
  const seconds = Math.max(0, Math.floor((endsAtMs - Date.now()) / 1000));
  const secure = place.protocol === 'https:' ? '; Secure' : '';
  const limits = `Path=${place.pathname}; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`;
  reply.header('set-cookie', `${cookieName}=${session}; ${limits}`);
  reply.header('x-xvault-resume-url', `${place.pathname}?session=${session}`);
  return sendFile(request, reply, { exportId, name, path: deps.shelf.file(exportId, name) });
}

function cookieOf({ headers }: FastifyRequest): string | undefined {
  for (const part of headers.cookie?.split(';') ?? []) {
    const [name, value] = part.trim().split('=', 2);
    if (name === cookieName) return value;
  }
  return undefined;
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
