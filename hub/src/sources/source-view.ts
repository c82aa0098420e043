import type { z } from 'zod';
import type { SourceRow } from './sources.repository.ts';
import type { sourceView } from './sources.schema.ts';

export function toSourceView(row: SourceRow): z.infer<typeof sourceView> {
  return {
    id: row.id,
    name: row.name,
    type: row.type,
    config: row.config,
    has_secret: row.secret_sealed !== null,
    host_key: row.host_key,
    last_probe: row.last_probe,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
