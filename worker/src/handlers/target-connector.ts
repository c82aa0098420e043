import { XVaultError } from '@xvault/shared/errors.ts';
import { type SourceConnection, sourceSecrets } from '@xvault/shared/sources.ts';
import type { z } from 'zod';
import type { WorkerConfig } from '../config.ts';
import { createFtpTarget } from '../connectors/ftp/target.ts';
import { createLocalTarget } from '../connectors/local/target.ts';
import { createS3Target } from '../connectors/s3/target.ts';
import { createSftpTarget } from '../connectors/sftp/target.ts';
import type { TargetConnector, TargetOptions, TargetSession } from '../connectors/target.ts';
import { createAddressGuard } from '../net/guard.ts';
import { openSecret, pinned } from './source-connector.ts';

/** Reaches a source to restore to it, with the secret still sealed. */
export interface TargetConnecting {
  connect(
    source: SourceConnection,
    sealed: string | null,
    /** Null for where the source itself reads. */
    path: string | null,
    signal: AbortSignal,
    options: TargetOptions,
  ): Promise<TargetSession>;
}

type OpenTarget = (rootPath: string, signal: AbortSignal, options: TargetOptions) => Promise<TargetSession>;

function bind<Config, Secret>(connector: TargetConnector<Config, Secret>, config: Config, secret: Secret): OpenTarget {
  return (rootPath, signal, options) => connector.connectTarget(config, secret, rootPath, signal, options);
}

/** The one table of targets; null for kinds that no files can be restored to. */
function createBinding(config: WorkerConfig) {
  const guard = createAddressGuard({ allow: config.XVAULT_ALLOW_NETWORKS });
  const ftp = createFtpTarget({ guard });
  const local = createLocalTarget({ allowedRoots: config.XVAULT_RESTORE_ROOTS });
  const s3 = createS3Target({ guard });
  const sftp = createSftpTarget({ guard });
  return async (source: SourceConnection, sealed: string | null): Promise<OpenTarget | null> => {
    const open = <Secret>(schema: z.ZodType<Secret>) =>
      openSecret(schema, sealed, [config.XVAULT_CREDENTIALS_IDENTITY]);
    switch (source.type) {
      case 'ftp':
        return bind(ftp, source.config, await open(sourceSecrets.ftp));
      case 'local':
        return bind(local, source.config, {});
      case 's3':
        return bind(s3, source.config, await open(sourceSecrets.s3));
      case 'sftp':
      case 'ssh':
        return bind(sftp, pinned(source), await open(sourceSecrets.sftp));
      default:
        return null;
    }
  };
}

export function createTargetConnecting(config: WorkerConfig): TargetConnecting {
  const bound = createBinding(config);
  return {
    async connect(source, sealed, path, signal, options) {
      const rootPath = path ?? ownPath(source);
      const open = rootPath === null ? null : await bound(source, sealed);
      if (rootPath === null || open === null) {
        throw new XVaultError('RESTORE_TARGET_UNSUPPORTED', { detail: `no files can be restored to ${source.type}` });
      }
      return open(rootPath, signal, options);
    },
  };
}

/** Where a source reads; null for kinds that have no such place. */
function ownPath({ type, config }: SourceConnection): string | null {
  if (type === 's3') return `/${config.prefix}`;
  return 'path' in config && typeof config.path === 'string' ? config.path : null;
}
