import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import { type TlsPolicy, upgradeToTls } from '../database/tls.ts';
import { capabilitiesAt, encodePacket, type Packet, readPacket, tlsCapability } from './packets.ts';

/** Of a client's answer: capabilities, packet size, character set, filler. The request for TLS is just this much of it. */
const tlsRequestBytes = 32;
const okPacket = 0x00;
const errorPacket = 0xff;

/**
 * Logs a client that speaks plainly in at a server through TLS: the client's side does not know of it. The request for TLS takes a
 * number of its own in the login's sequence, so the packets of the login are renumbered; after it both sides begin at zero again
 * and the bytes go through as they are. Resolves to the encrypted side once the login is over, one way or the other.
 */
export async function logInThroughTls(near: Socket, far: Duplex, greeting: Packet, policy: TlsPolicy): Promise<Duplex> {
  near.write(encodePacket({ sequence: greeting.sequence, payload: withoutTls(greeting.payload) }));
  const answer = await readPacket(near);
  if (answer === null || answer.payload.length < tlsRequestBytes) {
    throw new XVaultError('SOURCE_PROTOCOL', { detail: 'the client gave no answer to the greeting' });
  }
  const payload = Buffer.from(answer.payload);
  payload.writeUInt16LE(payload.readUInt16LE(0) | tlsCapability, 0);
  far.write(encodePacket({ sequence: answer.sequence, payload: payload.subarray(0, tlsRequestBytes) }));
  const secured = await upgradeToTls(far, policy);
  secured.write(encodePacket({ sequence: answer.sequence + 1, payload }));
  await passLogin(near, secured);
  return secured;
}

async function passLogin(near: Duplex, secured: Duplex): Promise<void> {
  for (;;) {
    const said = await readPacket(secured);
    if (said === null) throw new XVaultError('SOURCE_LOST', { detail: 'the server hung up during the login' });
    near.write(encodePacket({ sequence: said.sequence - 1, payload: said.payload }));
    const kind = said.payload[0];
    if (kind === okPacket || kind === errorPacket) return;
    // A change of method, or more of one: mostly the client has to say something, but not after "fast authentication is done".
    if (kind === 0x01 && said.payload[1] === 0x03 && said.payload.length === 2) continue;
    const reply = await readPacket(near);
    if (reply === null) throw new XVaultError('SOURCE_LOST', { detail: 'the client hung up during the login' });
    secured.write(encodePacket({ sequence: reply.sequence + 1, payload: reply.payload }));
  }
}

function withoutTls(greeting: Buffer): Buffer {
  const at = capabilitiesAt(greeting);
  if (at === undefined) throw new XVaultError('SOURCE_PROTOCOL', { detail: 'not the greeting of a MySQL server' });
  const changed = Buffer.from(greeting);
  changed.writeUInt16LE(changed.readUInt16LE(at) & ~tlsCapability, at);
  return changed;
}
