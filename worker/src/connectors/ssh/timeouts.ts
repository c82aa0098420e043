export interface SshTimeouts {
  /** Name resolution and TCP. */
  readonly connectMs: number;
  /** From the TCP connection to the end of the login; also for opening one channel. */
  readonly handshakeMs: number;
  /** Between keepalive questions; a server that leaves `keepaliveCount` of them unanswered is lost. */
  readonly keepaliveMs: number;
  readonly keepaliveCount: number;
  /** With requests outstanding and not a byte received for so long, the connection is lost. */
  readonly stallMs: number;
}

export const defaultSshTimeouts: SshTimeouts = {
  connectMs: 20_000,
  handshakeMs: 30_000,
  keepaliveMs: 15_000,
  keepaliveCount: 3,
  stallMs: 120_000,
};
