import type { FtpConfig, FtpSecret } from '@xvault/shared/sources.ts';
import type { AddressGuard } from '../../net/guard.ts';

export interface FtpTimeouts {
  /** For the dialling of one connection. */
  readonly connectMs: number;
  /** From dialling to being logged in. */
  readonly loginMs: number;
  /** Without a byte or an answer for so long, a connection is lost. */
  readonly stallMs: number;
}

export interface ConnectionSettings {
  readonly guard: AddressGuard;
  readonly config: FtpConfig;
  readonly secret: FtpSecret;
  readonly timeouts: FtpTimeouts;
}

export const defaultFtpTimeouts: FtpTimeouts = { connectMs: 20_000, loginMs: 60_000, stallMs: 60_000 };

/** Where the server listens. */
export function ftpPort({ port, tls }: FtpConfig): number {
  return port ?? (tls === 'implicit' ? 990 : 21);
}
