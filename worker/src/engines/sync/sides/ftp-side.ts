import type { FtpConfig, FtpSecret } from '@xvault/shared/sources.ts';
import { defaultFtpTimeouts } from '../../../connectors/ftp/settings.ts';
import { openFtpGateway } from '../guarded/ftp-gateway.ts';
import { ftpRemote } from '../remotes/servers.ts';
import type { Side, SideContext } from './side.ts';

/** Logs in, which rclone does slowly and says badly. Throws SOURCE_…. */
export async function openFtpSide(
  config: FtpConfig,
  secret: FtpSecret,
  { guard, signal }: Pick<SideContext, 'guard' | 'signal'>,
): Promise<Side> {
  const gateway = await openFtpGateway({ guard, config, secret, timeouts: defaultFtpTimeouts }, signal);
  const { user, password, connections, transfers } = gateway;
  return {
    remote: ftpRemote({ ...config, user, connections }, { password }, gateway),
    listsMtimes: true,
    transfersAtMost: transfers,
    close: () => gateway.close(),
  };
}
