import type { TestSshd } from '@xvault/shared/testing/sshd.ts';
import { createSftpConnector, type SftpTarget } from '../connectors/sftp/connector.ts';
import type { SshTimeouts } from '../connectors/ssh/client.ts';
import { createAddressGuard } from '../net/guard.ts';

/** Short enough for a test, long enough for a busy machine. */
export const testTimeouts: SshTimeouts = {
  connectMs: 10_000,
  handshakeMs: 20_000,
  keepaliveMs: 5000,
  keepaliveCount: 6,
  stallMs: 30_000,
};

/** What connectors to test servers need. */
export function testSshOptions(timeouts: Partial<SshTimeouts> = {}) {
  const guard = createAddressGuard({ allow: ['127.0.0.0/8'] });
  const reconnect = { delaysMs: [50, 200, 500] };
  return { guard, timeouts: { ...testTimeouts, ...timeouts }, reconnect };
}

export function testSftpConnector(timeouts: Partial<SshTimeouts> = {}) {
  return createSftpConnector(testSshOptions(timeouts));
}

/** The data directory of a test server, its host key pinned. */
export function targetOf(sshd: TestSshd, overrides: Partial<SftpTarget> = {}): SftpTarget {
  const { host, port, dataDir, user } = sshd;
  return { host, port, user: user.name, jump: null, path: dataDir, host_key: sshd.fingerprint(), ...overrides };
}
