import type { Duplex } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import ssh2 from 'ssh2';
import { authHandler, type SshCredentials } from './auth.ts';
import { fingerprintOf, type HostKeyPolicy, hostKeyType, judgeHostKey, rememberKeyType } from './host-key.ts';
import { type Phase, sshError } from './ssh-errors.ts';
import type { SshTimeouts } from './timeouts.ts';

export interface HandshakeOptions {
  /** Connected to the server: a socket, or a channel that a jump host forwards. */
  readonly transport: Duplex;
  readonly user: string;
  readonly secret: SshCredentials;
  readonly hostKey: HostKeyPolicy;
  /** Signature algorithms of host keys that are offered, best first. */
  readonly hostKeyAlgorithms: string[];
  readonly timeouts: SshTimeouts;
  readonly signal: AbortSignal;
}

/** A login that succeeded. */
export interface SshConnection {
  readonly client: ssh2.Client;
  readonly fingerprint: string;
  /** The key that was checked, and those of other kinds that the server has proven to hold since. */
  hostKeys(): readonly Buffer[];
  /** The server's software, as in its greeting. */
  readonly server: string | null;
  /** Why it is gone; undefined while it is there. */
  lost(): XVaultError | undefined;
  /** Calls back once, at once if it is lost already; not for a close of our own. Returns how to stop listening. */
  onLost(listener: (error: XVaultError) => void): () => void;
  close(): Promise<void>;
}

/** A server's key was refused: the kind of the key, for asking for another kind. */
export class HostKeyRefused extends Error {
  override readonly name = 'HostKeyRefused';
  readonly error: XVaultError;
  readonly keyType: string | undefined;

  constructor(error: XVaultError, keyType: string | undefined) {
    super(error.message);
    this.error = error;
    this.keyType = keyType;
  }
}

const ciphers: ssh2.CipherAlgorithm[] = [
  // With authentication in the cipher and hardware for it: the fastest by far.
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'aes128-gcm',
  'aes256-gcm',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
];

/**
 * Checks the host key, then logs in; the host key comes first in any case. Destroys the transport on any failure. Throws
 * HostKeyRefused, XVaultError, or the signal's reason.
 */
export async function handshake(options: HandshakeOptions): Promise<SshConnection> {
  const { transport, timeouts, signal } = options;
  const auth = authHandler(options.user, options.secret);
  const client = new ssh2.Client();
  const listeners = new Set<(error: XVaultError) => void>();
  let phase: Phase = 'handshake';
  let fingerprint = '';
  let refusal: HostKeyRefused | undefined;
  let lost: XVaultError | undefined;
  let closing = false;
  const keys: Buffer[] = [];

  const lose = (error: XVaultError) => {
    if (lost) return;
    lost = error;
    transport.destroy();
    if (closing) return;
    for (const listener of listeners) listener(error);
    listeners.clear();
  };
  client.on('error', (error) => lose(sshError(error, phase)));
  client.on('close', () => lose(sshError(new Error('the server closed the connection'), phase)));
  // ssh2's types do not know the event. The server has signed for each of these keys.
  (client as NodeJS.EventEmitter).on('hostkeys', (proven: readonly ssh2.ParsedKey[]) => {
    keys.push(...proven.map((each) => each.getPublicSSH()));
  });
  client.on('handshake', () => {
    if (phase === 'handshake') phase = 'auth';
  });
  client.on('change password', () => {
    lose(new XVaultError('SOURCE_AUTH_FAILED', { detail: 'the server wants the password to be changed' }));
  });
  const hostVerifier = (key: Buffer): boolean => {
    const seen = fingerprintOf(key);
    // The key is checked again when session keys are renewed; it must stay the same.
    const policy = fingerprint === '' ? options.hostKey : { pinned: fingerprint, acceptUnknown: false };
    const error = judgeHostKey(seen, policy);
    if (error) {
      refusal = new HostKeyRefused(error, hostKeyType(key));
      return false;
    }
    const type = hostKeyType(key);
    if (type !== undefined) rememberKeyType(seen, type);
    if (fingerprint === '') keys.push(key);
    fingerprint = seen;
    return true;
  };

  await new Promise<void>((resolve, reject) => {
    const stop = (error: unknown) => {
      settle();
      reject(error);
      lost ??= new XVaultError('SOURCE_LOST', { detail: 'the login was given up' });
      transport.destroy();
    };
    const onAbort = () => stop(signal.reason);
    const onLost = (error: XVaultError) => stop(refusal ?? error);
    const timer = setTimeout(() => {
      stop(new XVaultError('SOURCE_TIMEOUT', { detail: `${phase} took longer than ${timeouts.handshakeMs} ms` }));
    }, timeouts.handshakeMs);
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      listeners.delete(onLost);
    };
    if (signal.aborted) return onAbort();
    listeners.add(onLost);
    signal.addEventListener('abort', onAbort, { once: true });
    client.once('ready', () => {
      phase = 'session';
      settle();
      resolve();
    });
    client.connect({
      sock: transport,
      username: options.user,
      hostVerifier,
      authHandler: auth,
      algorithms: {
        serverHostKey: options.hostKeyAlgorithms as ssh2.ServerHostKeyAlgorithm[],
        cipher: { prepend: ciphers, append: [], remove: [] },
      },
      readyTimeout: 0,
      keepaliveInterval: timeouts.keepaliveMs,
      keepaliveCountMax: timeouts.keepaliveCount,
    });
  });

  const version: unknown = Reflect.get(client, '_remoteVer');
  return {
    client,
    fingerprint,
    hostKeys: () => keys,
    server: typeof version === 'string' ? version : null,
    lost: () => lost,
    onLost(listener) {
      if (lost) listener(lost);
      else listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      closing = true;
      listeners.clear();
      client.end();
      await closed(transport, 2000);
      lost ??= new XVaultError('SOURCE_LOST', { detail: 'the connection was closed' });
    },
  };
}

/** The polite end first; a server that does not answer is not waited for. */
function closed(transport: Duplex, timeoutMs: number): Promise<void> {
  if (transport.closed || transport.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      transport.destroy();
      resolve();
    }, timeoutMs);
    transport.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
