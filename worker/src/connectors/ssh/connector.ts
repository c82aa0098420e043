import type { SftpSecret, SshConfig } from '@xvault/shared/sources.ts';
import type { Connector, SourceProbe, SourceSession } from '../connector.ts';
import { type OpenedSftp, openAt, type SftpConnectorOptions } from '../sftp/connector.ts';
import { probeTree } from '../sftp/probe.ts';
import type { OpenedRoot } from '../sftp/root.ts';
import { sftpSession } from '../sftp/session.ts';
import { defaultSshTimeouts } from './client.ts';
import { sshSession } from './session.ts';
import { findTools, type RemoteTools } from './tools.ts';

export type SshSourceTarget = SshConfig & {
  /** Pinned `SHA256:…` fingerprint; null is accepted by `probe` alone. */
  readonly host_key: string | null;
};

/** Sources that are read through the server's own tar where it has one, by SFTP where not. */
export function createSshConnector(options: SftpConnectorOptions): Connector<SshSourceTarget, SftpSecret> {
  const stallMs = options.timeouts?.stallMs ?? defaultSshTimeouts.stallMs;

  async function open(
    target: SshSourceTarget,
    secret: SftpSecret,
    acceptUnknown: boolean,
    signal: AbortSignal,
  ): Promise<OpenedSftp & { readonly root: OpenedRoot; readonly tools: RemoteTools }> {
    const opened = await openAt(options, target, secret, acceptUnknown, signal);
    try {
      const tools = await opened.links.run(({ client }) => findTools(client, signal), signal);
      return { ...opened, tools };
    } catch (error) {
      await opened.links.close();
      throw error;
    }
  }

  return {
    async connect(target, secret, signal): Promise<SourceSession> {
      const { links, root, tools } = await open(target, secret, false, signal);
      if (tools.tar !== null) return sshSession({ links, root, tar: tools.tar, tools, stallMs });
      const session = sftpSession(links, root);
      return { ...session, describe: () => ({ ...session.describe?.(), transport_reason: tools.reason }) };
    },
    async probe(target, secret, signal): Promise<SourceProbe> {
      const { client, links, root, tools } = await open(target, secret, true, signal);
      try {
        const found = await probeTree(links, root, sftpSession(links, root), signal);
        const details = {
          transport: tools.tar === null ? 'sftp' : 'tar',
          ...(tools.reason === null ? {} : { transport_reason: tools.reason }),
          shell: tools.shell,
          tar: tools.tarVersion,
        };
        return { hostKey: client.fingerprint, server: client.server, ...found, details };
      } finally {
        await links.close();
      }
    },
  };
}
