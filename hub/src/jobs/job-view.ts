import type { z } from 'zod';
import { scheduleOf } from '../scheduling/schedule-of.ts';
import type { JobRow } from './jobs.repository.ts';
import type { jobView } from './jobs.schema.ts';

export function toJobView(row: JobRow): z.infer<typeof jobView> {
  return {
    id: row.id,
    name: row.name,
    source_id: row.source_id,
    destination_id: row.destination_id,
    engine: row.engine,
    options: row.options,
    sync: row.sync,
    schedule: scheduleOf(row),
    next_run_at: row.status === 'active' ? (row.next_run_at?.toISOString() ?? null) : null,
    status: row.status === 'paused' ? 'paused' : 'active',
    validation_mode: row.validation_mode,
    validation_level: row.validation_level,
    priority: row.priority,
    max_attempts: row.max_attempts,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
