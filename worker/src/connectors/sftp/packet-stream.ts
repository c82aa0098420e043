/** Larger replies than any server sends: READ is asked for 32 KiB, READDIR answers at most 256 KiB. */
const maxPacketBytes = 1024 * 1024;

/** Cuts the byte stream of a channel into packets. Each packet given on is without its length and owns its bytes. */
export class PacketStream {
  readonly #onPacket: (packet: Buffer) => void;
  readonly #lengthBytes = Buffer.alloc(4);
  #lengthHave = 0;
  #packet: Buffer | undefined;
  #have = 0;

  constructor(onPacket: (packet: Buffer) => void) {
    this.#onPacket = onPacket;
  }

  /** Throws RangeError when the bytes cannot be SFTP. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (!this.#packet) {
        const taken = chunk.copy(this.#lengthBytes, this.#lengthHave, at, at + 4 - this.#lengthHave);
        at += taken;
        this.#lengthHave += taken;
        if (this.#lengthHave < 4) return;
        const length = this.#lengthBytes.readUInt32BE(0);
        if (length < 5 || length > maxPacketBytes) throw new RangeError(`a packet of ${length} bytes`);
        this.#packet = Buffer.allocUnsafe(length);
        this.#have = 0;
      }
      const taken = chunk.copy(this.#packet, this.#have, at);
      at += taken;
      this.#have += taken;
      if (this.#have === this.#packet.length) {
        const whole = this.#packet;
        this.#packet = undefined;
        this.#lengthHave = 0;
        this.#onPacket(whole);
      }
    }
  }
}
