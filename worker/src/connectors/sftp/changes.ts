import { attrFields, messageType } from './packets.ts';
import { SftpStatusError, statusCode } from './status.ts';
import type { SftpWire } from './wire.ts';

const openFlag = { write: 2, create: 8, exclusive: 0x20 } as const;

/** What a server has beyond version 3, by the names of OpenSSH. */
const extension = {
  posixRename: 'posix-rename@openssh.com',
  hardlink: 'hardlink@openssh.com',
  lsetstat: 'lsetstat@openssh.com',
  statvfs: 'statvfs@openssh.com',
} as const;

/** Operations that are answered by a status alone, and throw it unless it is "ok". */
async function change(
  wire: SftpWire,
  type: number,
  fields: readonly (Buffer | number | bigint)[],
  signal?: AbortSignal,
): Promise<void> {
  const status = (await wire.request(type, fields, messageType.status, signal)).u32();
  if (status !== statusCode.ok) throw new SftpStatusError(status, '');
}

/** Makes a file that must not be there yet, for its owner alone. Resolves to a handle. */
export async function createFile(wire: SftpWire, path: Buffer, signal: AbortSignal): Promise<Buffer> {
  const flags = openFlag.write | openFlag.create | openFlag.exclusive;
  const fields = [path, flags, ...attrFields(0o600, undefined)];
  return Buffer.from((await wire.request(messageType.open, fields, messageType.handle, signal)).bytes());
}

export function writeAt(
  wire: SftpWire,
  handle: Buffer,
  offset: number,
  data: Buffer,
  signal: AbortSignal,
): Promise<void> {
  return change(wire, messageType.write, [handle, BigInt(offset), data], signal);
}

export function closeHandle(wire: SftpWire, handle: Buffer, signal: AbortSignal): Promise<void> {
  return change(wire, messageType.close, [handle], signal);
}

export function setHandleAttrs(wire: SftpWire, handle: Buffer, mode: number, mtimeSeconds: number): Promise<void> {
  return change(wire, messageType.fsetstat, [handle, ...attrFields(mode, mtimeSeconds)]);
}

/** Follows symlinks. */
export function setAttrs(wire: SftpWire, path: Buffer, mode: number, mtimeSeconds: number): Promise<void> {
  return change(wire, messageType.setstat, [path, ...attrFields(mode, mtimeSeconds)]);
}

/** The time of a symlink itself; does nothing where the server cannot. */
export async function setLinkTime(wire: SftpWire, path: Buffer, mtimeSeconds: number): Promise<void> {
  if (!wire.extensions.has(extension.lsetstat)) return;
  const fields = [Buffer.from(extension.lsetstat), path, ...attrFields(undefined, mtimeSeconds)];
  await change(wire, messageType.extended, fields);
}

export function removeFile(wire: SftpWire, path: Buffer): Promise<void> {
  return change(wire, messageType.remove, [path]);
}

export function makeDirectory(wire: SftpWire, path: Buffer): Promise<void> {
  return change(wire, messageType.mkdir, [path, ...attrFields(undefined, undefined)]);
}

/** OpenSSH has the two names in another order than the draft says, and all servers follow it. */
export function makeSymlink(wire: SftpWire, target: Buffer, path: Buffer): Promise<void> {
  return change(wire, messageType.symlink, [target, path]);
}

export function canHardlink(wire: SftpWire): boolean {
  return wire.extensions.has(extension.hardlink);
}

export function makeHardlink(wire: SftpWire, existing: Buffer, path: Buffer): Promise<void> {
  return change(wire, messageType.extended, [Buffer.from(extension.hardlink), existing, path]);
}

/** Moves a file over whatever is there, at once where the server can. */
export async function replace(wire: SftpWire, from: Buffer, to: Buffer): Promise<void> {
  if (wire.extensions.has(extension.posixRename)) {
    return change(wire, messageType.extended, [Buffer.from(extension.posixRename), from, to]);
  }
  try {
    return await change(wire, messageType.rename, [from, to]);
  } catch (error) {
    if (!(error instanceof SftpStatusError)) throw error;
    // Version 3 never replaces. What is there goes first, since the new one is whole.
    await removeFile(wire, to);
    return change(wire, messageType.rename, [from, to]);
  }
}

/** Whether the file system that holds a path has no room left; false where the server cannot tell. */
export async function isFull(wire: SftpWire, path: Buffer): Promise<boolean> {
  if (!wire.extensions.has(extension.statvfs)) return false;
  const fields = [Buffer.from(extension.statvfs), path];
  const body = await wire.request(messageType.extended, fields, messageType.extendedReply);
  body.u64();
  const fragmentBytes = body.u64();
  body.u64();
  body.u64();
  const free = body.u64() * fragmentBytes;
  const files = body.u64();
  body.u64();
  const freeFiles = body.u64();
  return free < leastFreeBytes || (files > 0n && freeFiles === 0n);
}

const leastFreeBytes = 1024n * 1024n;
