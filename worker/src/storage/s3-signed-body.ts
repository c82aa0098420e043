import { webcrypto } from 'node:crypto';
import type { PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';

/**
 * The command with the SHA-256 of its body, by which the server checks what arrives; computed off the main thread, which the
 * SDK would block for each part.
 */
export async function signed<C extends PutObjectCommand | UploadPartCommand>(command: C, body: Buffer): Promise<C> {
  const digest = await webcrypto.subtle.digest('SHA-256', body as Buffer<ArrayBuffer>);
  const hash = Buffer.from(digest).toString('hex');
  (command.middlewareStack as UploadPartCommand['middlewareStack']).add(
    (next) => (args) => {
      const { request } = args as { request?: { headers?: Record<string, string> } };
      if (request?.headers !== undefined) request.headers['x-amz-content-sha256'] = hash;
      return next(args);
    },
    { step: 'build', name: 'bodyHash' },
  );
  return command;
}
