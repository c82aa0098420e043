import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';

const description = [
  'Backups that pull. Sign in by POST /api/v1/login and send the token as bearer. Times are RFC 3339 in UTC, sizes bytes.',
  'Lists are newest first; pass `next_cursor` as `cursor` for the page after. Errors are problem+json with a stable `code`.',
].join('\n\n');

/** OpenAPI 3.1 of all routes registered after it, at /docs and /docs/json. */
export async function registerOpenapi(app: FastifyInstance, publicUrl: string | undefined): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'xVault', version: '1', description },
      ...(publicUrl !== undefined && { servers: [{ url: publicUrl }] }),
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
      security: [{ bearer: [] }],
    },
    transform: (route) => jsonSchemaTransform(route),
    transformObject: jsonSchemaTransformObject,
  });
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
}
