import type { TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { configOf, loopback, never } from '../../../connectors/ftp/ftp.test-kit.ts';
import type { ConnectionSettings } from '../../../connectors/ftp/settings.ts';
import type { ChannelLimits } from './ftp-channel.ts';
import { TestFtpClient } from './ftp-client.test-kit.ts';
import { type FtpGateway, openFtpGateway } from './ftp-gateway.ts';

export const ftpTimeouts = { connectMs: 5_000, loginMs: 10_000, stallMs: 10_000 };
const opened: { close(): unknown }[] = [];

/** Closed by {@link closeKept}, what came last first. */
export function kept<T extends { close(): unknown }>(one: T): T {
  opened.push(one);
  return one;
}

export async function closeKept(): Promise<void> {
  for (const each of opened.splice(0).reverse()) await each.close();
}

export async function gatewayTo(
  server: Pick<TestVsftpd, 'port' | 'user' | 'password'>,
  more: Parameters<typeof configOf>[1] = {},
  settings: Partial<ConnectionSettings> = {},
  limits: Partial<ChannelLimits> = {},
): Promise<FtpGateway> {
  const config = configOf(server, more);
  const secret = { password: server.password };
  const all = { guard: loopback, config, secret, timeouts: ftpTimeouts, ...settings };
  const gateway = await openFtpGateway(all, never, limits);
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= gateway.close();
    return closed;
  };
  return kept({ ...gateway, close });
}

export async function clientOf(gateway: FtpGateway): Promise<TestFtpClient> {
  return kept(await TestFtpClient.logIn(gateway));
}
