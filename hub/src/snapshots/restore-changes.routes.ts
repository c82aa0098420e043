import { XVaultError } from '@xvault/shared/errors.ts';
import { restoreChange } from '@xvault/shared/restore-targets.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { idParams } from '../http/id-params.ts';
import { responses } from '../http/problem.ts';
import { requireTenant } from '../http/request-context.ts';
import { getRun } from '../runs/runs.repository.ts';

/** How a restore was to change its target. */
const changeList = z.strictObject({
  /** How many paths met each action, all of them. */
  actions: z.record(z.string(), z.int()),
  /** The first thousand of what a dry run would change, a week long. */
  items: z.array(restoreChange),
});
const stored = z.object({
  actions: z.record(z.string(), z.int()).default({}),
  changes: z.array(restoreChange).default([]),
});

export const restoreChangesRoutes: FastifyPluginAsyncZod = async (app) => {
  const { db } = app.deps.open;

  app.get(
    '/runs/:id/changes',
    {
      schema: {
        summary: 'What a dry run of a restore would change',
        tags: ['runs'],
        params: idParams,
        response: responses({ 200: changeList }, 'NOT_FOUND'),
      },
    },
    async (request) => {
      const run = await getRun(db, requireTenant(request).tenantId, request.params.id);
      if (run?.kind !== 'restore' || run.result === null) throw new XVaultError('NOT_FOUND');
      const { actions, changes } = stored.parse(run.result);
      return { actions, items: changes };
    },
  );
};
