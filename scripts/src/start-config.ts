import { resolve } from 'node:path';
import { integerText, listText, parseConfig } from '@xvault/shared/config.ts';
import { z } from 'zod';

const directories = listText.pipe(z.array(z.string().startsWith('/', 'every directory must be an absolute path')));

const schema = z.object({
  /** Where everything is kept; relative to the folder that `npm start` is called in. */
  XVAULT_DATA_DIR: z.string().min(1).default('data'),
  XVAULT_HUB_PORT: integerText.pipe(z.int().min(1).max(65_535)).default(8080),
  /** `postgres://…`; without it PGlite in the data folder. */
  XVAULT_DATABASE_URL: z.string().optional(),
  /** `redis://…`; without it a private Redis on the data folder. */
  XVAULT_REDIS_URL: z.string().optional(),
  XVAULT_LOCAL_ROOTS: directories.default([]),
  XVAULT_RESTORE_ROOTS: directories.optional(),
  XVAULT_ALLOW_NETWORKS: listText.default([]),
  XVAULT_SLOTS: integerText.pipe(z.int().min(1)).default(2),
  XVAULT_LOG_LEVEL: z.enum(['error', 'warn', 'info', 'debug', 'trace']).default('info'),
});

/** Throws ConfigError naming each variable that is wrong. */
export function readStartConfig(env: Readonly<Record<string, string | undefined>>) {
  const values = parseConfig(schema, env);
  const dataDir = resolve(values.XVAULT_DATA_DIR);
  return {
    dataDir,
    hubPort: values.XVAULT_HUB_PORT,
    localRoots: values.XVAULT_LOCAL_ROOTS,
    /** Restores may go below the data folder when nothing else is said. */
    restoreRoots: values.XVAULT_RESTORE_ROOTS ?? [`${dataDir}/restores`],
    allowNetworks: values.XVAULT_ALLOW_NETWORKS,
    slots: values.XVAULT_SLOTS,
    logLevel: values.XVAULT_LOG_LEVEL,
    ...(values.XVAULT_DATABASE_URL === undefined ? {} : { databaseUrl: values.XVAULT_DATABASE_URL }),
    ...(values.XVAULT_REDIS_URL === undefined ? {} : { redisUrl: values.XVAULT_REDIS_URL }),
  };
}
