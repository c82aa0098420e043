import type { Duplex } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import { PacketStream } from './packet-stream.ts';
import { encodeRequest, messageType, PacketReader } from './packets.ts';
import { SftpStatusError } from './status.ts';

/** What every server gives in one reply. */
export const readBytes = 32 * 1024;
/** More at a time saves requests; beyond this it costs memory and saves nothing. */
const mostReadBytes = 128 * 1024;
const limitsExtension = 'limits@openssh.com';

export interface WireOptions {
  /** With requests outstanding and not a byte received for so long, the connection counts as lost. */
  readonly stallMs: number;
  /** Called before each packet is written, to gather the packets of one turn. */
  readonly beforeWrite: () => void;
}

interface Pending {
  readonly expected: number;
  readonly resolve: (body: PacketReader) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  abandoned: boolean;
}

type Fields = readonly (Buffer | number | bigint)[];

/** Requests and replies of SFTP over a channel: any number outstanding, answered in any order. */
export class SftpWire {
  readonly #channel: Duplex;
  readonly #options: WireOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #watched = new WeakSet<AbortSignal>();
  readonly #extensions = new Map<string, string>();
  readonly #stallTimer: NodeJS.Timeout;
  #greeting = true;
  #nextId = 0;
  #lastHeard = performance.now();
  #failure: unknown;
  #readLimitBytes = readBytes;
  #onFailure: (() => void) | undefined;

  constructor(channel: Duplex, options: WireOptions) {
    this.#channel = channel;
    this.#options = options;
    const packets = new PacketStream((packet) => this.#receive(packet));
    channel.on('data', (chunk: Buffer) => {
      try {
        packets.push(chunk);
      } catch (cause) {
        this.fail(new XVaultError('SOURCE_PROTOCOL', { detail: `not SFTP: ${String(cause)}`, cause }));
      }
    });
    for (const event of ['end', 'close', 'error']) {
      channel.once(event, () => {
        // Before the first word it is not a loss: the server has no SFTP for this account.
        const code = this.#greeting ? 'SOURCE_PROTOCOL' : 'SOURCE_LOST';
        this.fail(new XVaultError(code, { detail: 'the SFTP channel closed' }));
      });
    }
    this.#stallTimer = setInterval(() => this.#checkStall(), Math.max(10, options.stallMs / 4));
    this.#stallTimer.unref();
  }

  /** The server's extensions, by name. */
  get extensions(): ReadonlyMap<string, string> {
    return this.#extensions;
  }

  /** How many bytes one READ may ask for. */
  get readLimitBytes(): number {
    return this.#readLimitBytes;
  }

  /** Agrees on version 3, and learns what the server has beyond it. */
  async start(): Promise<void> {
    const version = await new Promise<PacketReader>((resolve, reject) => {
      this.#pending.set(-1, { expected: messageType.version, resolve, reject, signal: undefined, abandoned: false });
      this.#channel.write(Buffer.from([0, 0, 0, 5, messageType.init, 0, 0, 0, 3]));
    });
    try {
      for (;;) this.#extensions.set(version.bytes().toString('latin1'), version.bytes().toString('latin1'));
    } catch {
      // The list has no count: the end of the packet is its end.
    }
    if (this.#extensions.has(limitsExtension)) {
      const limits = await this.request(
        messageType.extended,
        [Buffer.from(limitsExtension)],
        messageType.extendedReply,
      );
      limits.u64();
      const most = Number(limits.u64());
      this.#readLimitBytes = Math.max(readBytes, Math.min(most, mostReadBytes));
    }
  }

  /** Resolves to the reply's body. Throws SftpStatusError, XVaultError SOURCE_LOST, or the signal's reason. */
  request(type: number, fields: Fields, expected: number, signal?: AbortSignal): Promise<PacketReader> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      if (signal?.aborted) return reject(signal.reason);
      if (signal) this.#watch(signal);
      return this.#send(type, fields, { expected, resolve, reject, signal, abandoned: false });
    });
  }

  /** Closes a handle without waiting: nothing was written through it, so the answer does not matter. */
  release(handle: Buffer): void {
    if (this.#failure !== undefined) return;
    const settle = () => undefined;
    const pending = { expected: messageType.status, resolve: settle, reject: settle, signal: undefined };
    this.#send(messageType.close, [handle], { ...pending, abandoned: true });
  }

  /** Ends everything outstanding, and whatever is asked for later, with this error. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    clearInterval(this.#stallTimer);
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    this.#onFailure?.();
  }

  /** Calls back once, when nothing can be asked any more. */
  onFailure(listener: () => void): void {
    if (this.#failure === undefined) this.#onFailure = listener;
    else listener();
  }

  #send(type: number, fields: Fields, pending: Pending): void {
    const id = this.#nextId;
    this.#nextId = (id + 1) >>> 0;
    if (this.#pending.size === 0) this.#lastHeard = performance.now();
    this.#pending.set(id, pending);
    this.#options.beforeWrite();
    this.#channel.write(encodeRequest(type, id, fields));
  }

  #receive(packet: Buffer): void {
    this.#lastHeard = performance.now();
    const type = packet[0] ?? 0;
    const id = this.#greeting ? -1 : packet.readUInt32BE(1);
    const pending = this.#pending.get(id);
    if (!pending) throw new RangeError(`a reply to nothing that was asked (type ${type})`);
    this.#pending.delete(id);
    this.#greeting = false;
    const body = new PacketReader(packet, 5);
    if (id === -1 && packet.readUInt32BE(1) < 3) throw new RangeError('a version of SFTP before 3');
    if (pending.abandoned) {
      if (type === messageType.handle) this.release(body.bytes());
    } else if (type === pending.expected) pending.resolve(body);
    else if (type === messageType.status) pending.reject(statusError(body));
    else throw new RangeError(`a reply of type ${type} instead of ${pending.expected}`);
  }

  #watch(signal: AbortSignal): void {
    if (this.#watched.has(signal)) return;
    this.#watched.add(signal);
    const onAbort = () => {
      for (const pending of this.#pending.values()) {
        if (pending.signal !== signal || pending.abandoned) continue;
        // The entry stays: a handle that is opened late must still be closed.
        pending.abandoned = true;
        pending.reject(signal.reason);
      }
    };
    signal.addEventListener('abort', onAbort, { once: true });
  }

  #checkStall(): void {
    if (this.#pending.size === 0 || performance.now() - this.#lastHeard < this.#options.stallMs) return;
    const detail = `no answer for ${this.#options.stallMs} ms with ${this.#pending.size} requests outstanding`;
    this.fail(new XVaultError('SOURCE_LOST', { detail }));
  }
}

function statusError(body: PacketReader): SftpStatusError {
  const status = body.u32();
  try {
    return new SftpStatusError(status, body.bytes().toString('utf8'));
  } catch {
    // Some servers leave the words out.
    return new SftpStatusError(status, '');
  }
}
