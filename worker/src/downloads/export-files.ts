import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { readRange } from './range.ts';

export interface ServedFile {
  readonly exportId: string;
  readonly path: string;
  readonly name: string;
}

/** Headers of an export that do not depend on what part of it is asked for. */
export function fileHeaders(name: string): Record<string, string> {
  return {
    'content-type': contentTypeOf(name),
    'content-disposition': `attachment; filename="${name.replace(/[^A-Za-z0-9._-]/g, '_')}"`,
    'accept-ranges': 'bytes',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  };
}

/** Sends the file, or the range of it that is asked for. Throws EXPORT_EXPIRED when it is gone. */
export async function sendFile(request: FastifyRequest, reply: FastifyReply, file: ServedFile): Promise<FastifyReply> {
  const handle = await open(file.path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw new XVaultError(cause.code === 'ENOENT' ? 'EXPORT_EXPIRED' : 'STORAGE_FAILED', { cause });
  });
  try {
    return await sendOpened(request, reply, file, handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function sendOpened(
  request: FastifyRequest,
  reply: FastifyReply,
  { exportId, name }: ServedFile,
  handle: FileHandle,
): Promise<FastifyReply> {
  const { size } = await handle.stat();
  // A finished export never changes: its id tells it apart.
  const etag = `"${exportId}"`;
  reply.headers({ ...fileHeaders(name), etag });
  const condition = request.headers['if-range'];
  const isSame = condition === undefined || condition === etag;
  const range = isSame ? readRange(request.headers.range, size) : null;
  if (range === 'unsatisfiable') {
    await handle.close();
    return reply.code(416).header('content-range', `bytes */${size}`).send();
  }
  const { start, end } = range ?? { start: 0, end: size - 1 };
  if (range !== null) reply.code(206).header('content-range', `bytes ${start}-${end}/${size}`);
  reply.header('content-length', end - start + 1);
  if (request.method === 'HEAD' || size === 0) {
    await handle.close();
    return reply.send();
  }
  return reply.send(handle.createReadStream({ start, end }));
}

export function contentTypeOf(name: string): string {
  if (name.endsWith('.zip')) return 'application/zip';
  if (name.endsWith('.gz')) return 'application/gzip';
  return name.endsWith('.zst') ? 'application/zstd' : 'application/x-tar';
}
