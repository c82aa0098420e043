import { ftpConfig } from '@xvault/shared/source-kinds/ftp.ts';
import type { FtpConfig } from '@xvault/shared/sources.ts';
import type { TestPyftpd } from '@xvault/shared/testing/pyftpd.ts';
import type { TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import type { z } from 'zod';
import { createAddressGuard } from '../../net/guard.ts';
import { createFtpConnector, type FtpConnectorOptions } from './connector.ts';

export const never = new AbortController().signal;

export const loopback = createAddressGuard({ allow: ['127.0.0.0/8'] });

/** Short waits, so that tests of what never answers end soon. */
export function testFtpConnector(options: Partial<FtpConnectorOptions> = {}) {
  return createFtpConnector({
    guard: loopback,
    timeouts: { connectMs: 5_000, loginMs: 10_000, stallMs: 5_000 },
    retryDelaysMs: [10, 50, 200, 500],
    ...options,
  });
}

export function configOf(
  server: Pick<TestVsftpd | TestPyftpd, 'port' | 'user'>,
  more: Partial<z.input<typeof ftpConfig>> = {},
): FtpConfig {
  return ftpConfig.parse({ host: '127.0.0.1', port: server.port, user: server.user, path: '/', tls: 'none', ...more });
}
