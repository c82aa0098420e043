import type { SftpSecret, SshConfig } from '@xvault/shared/sources.ts';
import type { Connector, SourceProbe, SourceSession } from '../connector.ts';
import { type OpenedSftp, openAt, type SftpConnectorOptions } from '../sftp/connector.ts';
import type { SftpLinks } from '../sftp/link.ts';
import { probeTree } from '../sftp/probe.ts';
import type { OpenedRoot } from '../sftp/root.ts';
import { sftpSession, type TreeListing } from '../sftp/session.ts';
import { defaultSshTimeouts } from './client.ts';
import { exactSession } from './exact-session.ts';
import { listByFind } from './find-listing.ts';
import { sshSession } from './session.ts';
import { findTools, type RemoteTools } from './tools.ts';

export type SshSourceTarget = SshConfig & {
  /** Pinned `SHA256:…` fingerprint; null is accepted by `probe` alone. */
  readonly host_key: string | null;
};

interface Opened {
  readonly links: SftpLinks;
  readonly root: OpenedRoot;
  readonly tools: RemoteTools;
}

/** Sources that are read through the server's own tar where it has one, by SFTP where not. */
export function createSshConnector(options: SftpConnectorOptions): Connector<SshSourceTarget, SftpSecret> {
  const stallMs = options.timeouts?.stallMs ?? defaultSshTimeouts.stallMs;

  function sessionOf({ links, root, tools }: Opened): SourceSession {
    if (!tools.find) return contentSession({ links, root, tools }, undefined);
    const given = { links, root, stallMs, state: { reason: null } };
    return exactSession(
      contentSession({ links, root, tools }, (options) => listByFind(given, options)),
      given,
    );
  }

  /** `listing` is undefined where SFTP must list. */
  function contentSession({ links, root, tools }: Opened, listing: TreeListing | undefined): SourceSession {
    if (tools.tar !== null) return sshSession({ links, root, tar: tools.tar, tools, stallMs, listing });
    const session = sftpSession(links, root, listing);
    return { ...session, describe: () => ({ ...session.describe?.(), transport_reason: tools.reason }) };
  }

  async function open(
    target: SshSourceTarget,
    secret: SftpSecret,
    acceptUnknown: boolean,
    signal: AbortSignal,
  ): Promise<OpenedSftp & Opened> {
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
      return sessionOf(await open(target, secret, false, signal));
    },
    async probe(target, secret, signal): Promise<SourceProbe> {
      const opened = await open(target, secret, true, signal);
      const { client, links, root, tools } = opened;
      const session = sessionOf(opened);
      try {
        const found = await probeTree(links, root, session, signal);
        const details = {
          transport: tools.tar === null ? 'sftp' : 'tar',
          ...(tools.reason === null ? {} : { transport_reason: tools.reason }),
          shell: tools.shell,
          tar: tools.tarVersion,
          listing: tools.find ? 'find' : 'sftp',
        };
        return { hostKey: client.fingerprint, server: client.server, ...found, details };
      } finally {
        await session.close();
      }
    },
  };
}
