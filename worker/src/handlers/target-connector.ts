import { XVaultError } from '@xvault/shared/errors.ts';
import type { SourceConnection, SourceType } from '@xvault/shared/sources.ts';
import type { WorkerConfig } from '../config.ts';
import { createFtpTarget } from '../connectors/ftp/target.ts';
import { createLocalTarget } from '../connectors/local/target.ts';
import { createS3Target } from '../connectors/s3/target.ts';
import { createSftpTarget } from '../connectors/sftp/target.ts';
import type { TargetConnector, TargetOptions, TargetSession } from '../connectors/target.ts';
import { createAddressGuard } from '../net/guard.ts';
import { openSourceSecret, targetOf } from './source-connector.ts';

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

// biome-ignore lint/suspicious/noExplicitAny: each kind has its own types; `sourceSecrets` and the spec's schema check them.
type AnyTarget = TargetConnector<any, any>;

/** The one table of targets. */
function createTargets(config: WorkerConfig): Partial<Record<SourceType, AnyTarget>> {
  const guard = createAddressGuard({ allow: config.XVAULT_ALLOW_NETWORKS });
  return {
    ftp: createFtpTarget({ guard }),
    local: createLocalTarget({ allowedRoots: config.XVAULT_RESTORE_ROOTS }),
    s3: createS3Target({ guard }),
    sftp: createSftpTarget({ guard }),
    ssh: createSftpTarget({ guard }),
  };
}

export function createTargetConnecting(config: WorkerConfig): TargetConnecting {
  const targets = createTargets(config);
  const identities = [config.XVAULT_CREDENTIALS_IDENTITY];
  return {
    async connect(source, sealed, path, signal, options) {
      const target = targets[source.type];
      const rootPath = path ?? ownPath(source);
      if (target === undefined || rootPath === null) {
        throw new XVaultError('RESTORE_TARGET_UNSUPPORTED', { detail: `no files can be restored to ${source.type}` });
      }
      const secret = await openSourceSecret(source.type, sealed, identities);
      return target.connectTarget(targetOf(source), secret, rootPath, signal, options);
    },
  };
}

/** Where a source reads; null for kinds that have no such place. */
function ownPath({ type, config }: SourceConnection): string | null {
  if (type === 's3') return `/${config.prefix}`;
  return 'path' in config && typeof config.path === 'string' ? config.path : null;
}
