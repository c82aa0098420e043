import { z } from 'zod';

export const glob = z
  .string()
  .min(1)
  .max(4096)
  .refine((pattern) => !/[\0\r\n]/.test(pattern), 'must be one line');

const hookCommon = {
  timeout_seconds: z.int().min(1).max(86_400).default(60),
  /** What a failure of it does to the run: `stop` fails it, `warn` lets it go on and end with a warning. */
  on_failure: z.enum(['stop', 'warn']).default('stop'),
};

/** Something done before or after the transfer. */
export const hook = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('ssh'),
    /** Given to the login shell of the source's user; for sources that are reached over SSH. */
    command: z
      .string()
      .min(1)
      .max(16_384)
      .refine((text) => !text.includes('\0'), 'must not contain NUL'),
    ...hookCommon,
  }),
  z.strictObject({
    type: z.literal('webhook'),
    url: z.url({ protocol: /^https?$/ }),
    ...hookCommon,
  }),
]);
export type Hook = z.infer<typeof hook>;

export const hooks = z.strictObject({
  pre: z.array(hook).max(10).default([]),
  /** Also after a failure and a cancellation. */
  post: z.array(hook).max(10).default([]),
});

/** Options of the archive engine. */
export const archiveOptions = z.strictObject({
  /** zstd level. */
  compression_level: z.int().min(1).max(19).default(3),
  /** Stay on the file system of the source's root. */
  one_file_system: z.boolean().default(false),
  /** Store what symlinks point at, in their place. */
  follow_symlinks: z.boolean().default(false),
  /** Patterns as in .gitignore, relative to the source's root; only what matches one is taken. Empty takes all. */
  include: z.array(glob).max(1000).default([]),
  /** Patterns as in .gitignore, relative to the source's root; a later one beginning with `!` takes back in. */
  exclude: z.array(glob).max(1000).default([]),
  /** Larger files are left out; null for no limit. */
  max_file_bytes: z.int().min(0).nullable().default(null),
  /** Files read at a time; null for what suits the kind of source. */
  read_concurrency: z.int().min(1).max(256).nullable().default(null),
  /** Bytes read from the source in a second; the tenant's and the platform's limits hold as well. */
  bandwidth_limit_bps: z.int().min(1024).nullable().default(null),
  hooks: hooks.prefault({}),
});
export type ArchiveOptions = z.infer<typeof archiveOptions>;
