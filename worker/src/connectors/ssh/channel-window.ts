import type { ClientChannel } from 'ssh2';

/** How much a server may have sent and we not yet have taken: what 160 ms hold at 50 MB a second. */
const windowBytes = 8 * 1024 * 1024;
/** Given back in pieces, so that small reads cause no packet each. */
const refillBytes = 512 * 1024;

interface ChannelParts {
  readonly incoming: { window: number };
  readonly outgoing: { readonly id: number; readonly state: string };
}
interface ClientParts {
  readonly _protocol: { channelWindowAdjust(channel: number, bytes: number): void };
}

/**
 * ssh2 opens channels with a window of 2 MiB and refills it when half is gone, which at 40 ms of latency is 25 MB a second.
 * Opens the window wider and calls for a refill as bytes are taken; returns what to call with the bytes taken.
 */
export function widenWindow(channel: ClientChannel): (takenBytes: number) => void {
  const { incoming, outgoing } = channel as unknown as ChannelParts;
  const { _protocol: protocol } = Reflect.get(channel, '_client') as ClientParts;
  const grant = (bytes: number) => {
    if (outgoing.state !== 'open' && outgoing.state !== 'eof') return;
    incoming.window += bytes;
    protocol.channelWindowAdjust(outgoing.id, bytes);
  };
  let taken = 0;
  grant(Math.max(0, windowBytes - incoming.window));
  return (takenBytes) => {
    taken += takenBytes;
    if (taken < refillBytes) return;
    // ssh2 refills by itself where it falls below its own threshold.
    grant(Math.max(0, Math.min(taken, windowBytes - incoming.window)));
    taken = 0;
  };
}
