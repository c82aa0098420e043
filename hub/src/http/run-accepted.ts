import type { FastifyReply } from 'fastify';
import type { RunRow } from '../db/schema.ts';

/** 202 with the address where the run can be followed. */
export function acceptRun(reply: FastifyReply, run: RunRow): FastifyReply {
  return reply.code(202).header('location', `/api/v1/runs/${run.id}`);
}
