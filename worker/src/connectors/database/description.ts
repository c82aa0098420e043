import { z } from 'zod';

export const databaseEngines = ['mysql', 'mariadb', 'postgres'] as const;

/** database.json: what stands beside a dump, enough to restore it by hand or by us. */
export const databaseDescription = z.strictObject({
  format: z.literal('xvault-database'),
  format_version: z.literal(1),
  /** As the server has it; the directory's name is made of it. */
  name: z.string().min(1),
  engine: z.enum(databaseEngines),
  server_version: z.string(),
  tool: z.string(),
  tool_version: z.string(),
  flags: z.array(z.string()),
  character_set: z.string(),
  collation: z.string(),
  /** The parts, joined in the order of their names, are the dump: SQL, or an archive for pg_restore. */
  dump: z.strictObject({
    file: z.enum(['dump.sql', 'dump.pgc']),
    format: z.enum(['sql', 'pg_custom']),
    part_bytes: z.int().min(1),
  }),
  /** What the server said of its size before; the dump may be larger or smaller. */
  estimated_bytes: z.int().min(0),
  started_at: z.iso.datetime(),
});
export type DatabaseDescription = z.infer<typeof databaseDescription>;
