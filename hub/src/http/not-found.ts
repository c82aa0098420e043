import { XVaultError } from '@xvault/shared/errors.ts';
import type { FastifyInstance } from 'fastify';
import { methodsAt } from './route-list.ts';

/** Unknown addresses are 404; known ones asked by another method are 405, with Allow. */
export function setNotFoundHandler(app: FastifyInstance): void {
  app.setNotFoundHandler((request, reply) => {
    const allowed = methodsAt(app.routeList, request.url.split('?')[0] ?? '');
    if (allowed.length === 0) throw new XVaultError('NOT_FOUND');
    reply.header('allow', allowed.join(', '));
    throw new XVaultError('METHOD_NOT_ALLOWED');
  });
}
