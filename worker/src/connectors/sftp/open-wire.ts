import { untilAborted } from '../../net/until-aborted.ts';
import { widenWindow } from '../ssh/channel-window.ts';
import type { SshClient } from '../ssh/client.ts';
import { SftpWire } from './wire.ts';

/** Opens the SFTP subsystem and agrees on version 3. Throws SOURCE_PROTOCOL where the server has none for this user. */
export async function openSftpWire(client: SshClient, stallMs: number, signal: AbortSignal): Promise<SftpWire> {
  const channel = await client.openSftp(signal);
  const taken = widenWindow(channel);
  channel.on('data', (chunk: Buffer) => taken(chunk.length));
  const wire = new SftpWire(channel, { stallMs, beforeWrite: () => client.gather() });
  wire.onFailure(client.onLost((error) => wire.fail(error)));
  await untilAborted(wire.start(), signal);
  return wire;
}
