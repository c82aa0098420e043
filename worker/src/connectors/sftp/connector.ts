import type { SftpConfig, SftpSecret } from '@xvault/shared/sources.ts';
import type { AddressGuard } from '../../net/guard.ts';
import type { Connector, SourceProbe } from '../connector.ts';
import { connectSsh, defaultSshTimeouts, type SshClient, type SshTimeouts } from '../ssh/client.ts';
import { defaultReconnectLimits, Reconnecting, type ReconnectLimits } from '../ssh/reconnecting.ts';
import { type SftpLink, type SftpLinks, sftpLink } from './link.ts';
import { openSftpWire } from './open-wire.ts';
import { probeTree } from './probe.ts';
import { type OpenedRoot, openRoot } from './root.ts';
import { sftpSession } from './session.ts';

export type SftpTarget = SftpConfig & {
  /** Pinned `SHA256:…` fingerprint; null is accepted by `probe` alone. */
  readonly host_key: string | null;
};

export interface SftpConnectorOptions {
  readonly guard: AddressGuard;
  readonly timeouts?: Partial<SshTimeouts>;
  readonly reconnect?: Partial<ReconnectLimits>;
}

export interface OpenedSftp {
  readonly client: SshClient;
  readonly links: SftpLinks;
}

/** Logs in and opens SFTP; connects again by itself later. `acceptUnknown`: take a server whose key is not pinned. */
export async function openSftp(
  { guard, timeouts, reconnect }: SftpConnectorOptions,
  target: Omit<SftpTarget, 'path'>,
  secret: SftpSecret,
  acceptUnknown: boolean,
  signal: AbortSignal,
): Promise<OpenedSftp> {
  const limits = { ...defaultSshTimeouts, ...timeouts };
  async function connect(pinned: string | null, acceptsUnknown: boolean, until: AbortSignal): Promise<SftpLink> {
    const hostKey = { pinned, acceptUnknown: acceptsUnknown };
    const client = await connectSsh(guard, { config: target, secret, hostKey }, limits, until);
    try {
      return sftpLink(client, await openSftpWire(client, limits.stallMs, until));
    } catch (error) {
      await client.close();
      throw error;
    }
  }
  const first = await connect(target.host_key, acceptUnknown, signal);
  // Whoever answers later must be the same server.
  const again = (until: AbortSignal) => connect(first.client.fingerprint, false, until);
  const links = new Reconnecting<SftpLink>(first, again, { ...defaultReconnectLimits, ...reconnect });
  return { client: first.client, links };
}

/** Sources that are read over SFTP. */
export function createSftpConnector(options: SftpConnectorOptions): Connector<SftpTarget, SftpSecret> {
  return {
    async connect(target, secret, signal) {
      const { links, root } = await openAt(options, target, secret, false, signal);
      return sftpSession(links, root);
    },
    async probe(target, secret, signal): Promise<SourceProbe> {
      const { client, links, root } = await openAt(options, target, secret, true, signal);
      try {
        const found = await probeTree(links, root, sftpSession(links, root), signal);
        return { hostKey: client.fingerprint, server: client.server, ...found, details: { transport: 'sftp' } };
      } finally {
        await links.close();
      }
    },
  };
}

/** With the root looked at. Throws SOURCE_PATH_NOT_FOUND, SOURCE_PERMISSION. */
export async function openAt(
  options: SftpConnectorOptions,
  target: SftpTarget,
  secret: SftpSecret,
  acceptUnknown: boolean,
  signal: AbortSignal,
): Promise<OpenedSftp & { readonly root: OpenedRoot }> {
  const opened = await openSftp(options, target, secret, acceptUnknown, signal);
  try {
    const root = await opened.links.run(({ wire }) => openRoot(wire, target.path, signal), signal);
    return { ...opened, root };
  } catch (error) {
    await opened.links.close();
    throw error;
  }
}
