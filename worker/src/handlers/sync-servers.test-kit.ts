import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { startSamba, type TestSamba } from '@xvault/shared/testing/samba.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';

/** One server of each kind that a sync reads from, and what a worker has. */
export interface SyncServers {
  readonly platform: SyncPlatform;
  readonly sshd: TestSshd;
  readonly ftp: TestVsftpd;
  readonly samba: TestSamba;
  readonly webdav: TestWebdav;
  readonly s3: SharedRadosgw;
  /** What no customer is ever to read. */
  readonly secrets: readonly string[];
  stop(): Promise<void>;
}

export async function startSyncServers(): Promise<SyncServers> {
  const [platform, sshd, ftp, samba, webdav, s3] = await Promise.all([
    makeSyncPlatform(),
    startSshd(),
    startVsftpd(),
    startSamba(),
    startWebdav(),
    sharedS3(),
  ]);
  const secrets = [sshd.user.password, ftp.password, samba.password, webdav.password, s3.secretKey, s3.accessKey];
  return {
    platform,
    sshd,
    ftp,
    samba,
    webdav,
    s3,
    secrets,
    async stop() {
      await Promise.all([platform.remove(), sshd.stop(), ftp.stop(), samba.stop(), webdav.stop()]);
    },
  };
}
