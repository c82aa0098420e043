import { XVaultError } from '@xvault/shared/errors.ts';
import { type Attrs, messageType, type NamedItem } from './packets.ts';
import { SftpStatusError, statusCode } from './status.ts';
import type { SftpWire } from './wire.ts';

const openForReading = 1;
const noAttributes = 0;

/** Resolves to a handle; give it back with `wire.release`. */
export async function openFile(wire: SftpWire, path: Buffer, signal: AbortSignal): Promise<Buffer> {
  const fields = [path, openForReading, noAttributes];
  return (await wire.request(messageType.open, fields, messageType.handle, signal)).bytes();
}

export async function openDirectory(wire: SftpWire, path: Buffer, signal: AbortSignal): Promise<Buffer> {
  return (await wire.request(messageType.opendir, [path], messageType.handle, signal)).bytes();
}

/** Up to a server's own number of names, undefined after the last. */
export function readNames(wire: SftpWire, handle: Buffer, signal: AbortSignal): Promise<NamedItem[] | undefined> {
  return wire
    .request(messageType.readdir, [handle], messageType.name, signal)
    .then((body) => body.names(), undefinedAtEnd);
}

/** Up to `length` bytes, undefined at the end of the file. */
export function readOnce(
  wire: SftpWire,
  handle: Buffer,
  offset: number,
  length: number,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const fields = [handle, BigInt(offset), length];
  return wire.request(messageType.read, fields, messageType.data, signal).then((body) => body.bytes(), undefinedAtEnd);
}

/** Exactly `length` bytes, or fewer where the file ends. Servers may give less than was asked for. */
export async function readRange(
  wire: SftpWire,
  handle: Buffer,
  offset: number,
  length: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const first = await readOnce(wire, handle, offset, length, signal);
  if (first === undefined) return Buffer.alloc(0);
  if (first.length === length) return first;
  if (first.length === 0 || first.length > length) throw badLength(first.length, length);
  const rest = await readRange(wire, handle, offset + first.length, length - first.length, signal);
  return Buffer.concat([first, rest]);
}

export async function fstat(wire: SftpWire, handle: Buffer, signal: AbortSignal): Promise<Attrs> {
  return (await wire.request(messageType.fstat, [handle], messageType.attrs, signal)).attrs();
}

/** Of what a symlink leads to. */
export async function stat(wire: SftpWire, path: Buffer, signal: AbortSignal): Promise<Attrs> {
  return (await wire.request(messageType.stat, [path], messageType.attrs, signal)).attrs();
}

/** Of a symlink itself. */
export async function lstat(wire: SftpWire, path: Buffer, signal: AbortSignal): Promise<Attrs> {
  return (await wire.request(messageType.lstat, [path], messageType.attrs, signal)).attrs();
}

export function readLink(wire: SftpWire, path: Buffer, signal: AbortSignal): Promise<Buffer> {
  return wire.request(messageType.readlink, [path], messageType.name, signal).then((body) => oneName(body.names()));
}

export function realPath(wire: SftpWire, path: Buffer, signal: AbortSignal): Promise<Buffer> {
  return wire.request(messageType.realpath, [path], messageType.name, signal).then((body) => oneName(body.names()));
}

/** The id of the file system that holds a path, by OpenSSH's extension `statvfs@openssh.com`. */
export async function fileSystemId(wire: SftpWire, path: Buffer, signal: AbortSignal): Promise<bigint> {
  const fields = [Buffer.from('statvfs@openssh.com'), path];
  const body = await wire.request(messageType.extended, fields, messageType.extendedReply, signal);
  // bsize, frsize, blocks, bfree, bavail, files, ffree, favail come before fsid.
  for (let skipped = 0; skipped < 8; skipped += 1) body.u64();
  return body.u64();
}

function oneName(names: readonly NamedItem[]): Buffer {
  const [only] = names;
  if (!only) throw new XVaultError('SOURCE_PROTOCOL', { detail: 'a reply without the name that was asked for' });
  return only.name;
}

function badLength(got: number, asked: number): XVaultError {
  return new XVaultError('SOURCE_PROTOCOL', { detail: `a read of ${asked} bytes was answered with ${got}` });
}

function undefinedAtEnd(error: unknown): undefined {
  if (error instanceof SftpStatusError && error.status === statusCode.eof) return undefined;
  throw error;
}
