import type { FtpConfig } from '@xvault/shared/sources.ts';

export type FtpEncoding = FtpConfig['encoding'];

/**
 * The control connection carries bytes, one to a character. A server of UTF-8, or of anything unknown, has its names stored
 * byte for byte; those of a Latin-1 server are stored as UTF-8.
 */
export function nameFromWire(wire: string, encoding: FtpEncoding): Buffer {
  return Buffer.from(wire, encoding === 'latin1' ? 'utf8' : 'latin1');
}

/** Undefined where the server's encoding, or the protocol, has no way to write it. */
export function nameToWire(name: Buffer, encoding: FtpEncoding): string | undefined {
  const wire = encoding === 'latin1' ? name.toString('utf8') : name.toString('latin1');
  if (/[\r\n\0]/.test(wire)) return undefined;
  for (let at = 0; at < wire.length; at += 1) if (wire.charCodeAt(at) > 0xff) return undefined;
  return wire;
}

const slash = Buffer.from('/');

/** `base/name`; the root `.` of a listing stands for the base itself. */
export function joinPath(base: Buffer, name: Buffer): Buffer {
  if (name.length === 1 && name[0] === 0x2e) return base;
  if (base.length === 1 && base[0] === 0x2e) return name;
  return base.at(-1) === 0x2f ? Buffer.concat([base, name]) : Buffer.concat([base, slash, name]);
}
