import { parentPort, workerData } from 'node:worker_threads';
import { isSkipped, type ReadResult, type SkippedItem, type SourceEntry } from '../connector.ts';
import { DirectoryCursor } from './directory-cursor.ts';
import { FileOpener } from './open-file.ts';
import { readSmall } from './read-small.ts';
import { RecordReader, RecordWriter } from './record-codec.ts';
import { toEntry } from './stat-entry.ts';
import type {
  CountReply,
  ItemsReply,
  OpenReply,
  ReadReply,
  ThreadData,
  ThreadReply,
  ThreadRequest,
} from './thread-protocol.ts';
import { walk } from './walk.ts';

// Runs in a worker thread: synchronous calls cost a tenth of asynchronous ones, and block nobody here.

const itemsPerReply = 512;
const recordBytesPerReply = 128 * 1024;
const countedPerReply = 4096;

const { rootFd, rootPath } = workerData as ThreadData;
const cursor = new DirectoryCursor({ fd: rootFd, path: Buffer.from(rootPath) });
const opener = new FileOpener(cursor);
const countedLinks = new Set<string>();
let walking: Generator<SourceEntry | SkippedItem> | undefined;

function nextItems(): ItemsReply {
  const records = new RecordWriter(recordBytesPerReply);
  let count = 0;
  while (count < itemsPerReply && records.sizeBytes < recordBytesPerReply) {
    const next = walking?.next();
    if (!next || next.done) return { count, records: records.finish(), ended: true };
    records.item(next.value);
    count += 1;
  }
  return { count, records: records.finish(), ended: false };
}

function countMore(): CountReply {
  let fileCount = 0;
  let totalBytes = 0;
  for (let looked = 0; looked < countedPerReply; looked += 1) {
    const next = walking?.next();
    if (!next || next.done) return { fileCount, totalBytes, ended: true };
    const item = next.value;
    if (isSkipped(item) || item.type !== 'file') continue;
    fileCount += 1;
    // Further names of one file bring no bytes.
    if (item.hardLinkKey === undefined || !countedLinks.has(item.hardLinkKey)) totalBytes += item.sizeBytes;
    if (item.hardLinkKey !== undefined) countedLinks.add(item.hardLinkKey);
  }
  return { fileCount, totalBytes, ended: false };
}

function readMany(request: Extract<ThreadRequest, { op: 'read' }>): ReadReply {
  const paths = new RecordReader(request.paths);
  const room = Buffer.from(request.room);
  const grown: ArrayBuffer[] = [];
  const records = new RecordWriter(request.paths.byteLength + request.count * 96);
  let used = 0;
  for (let at = 0; at < request.count; at += 1) {
    const listedBytes = paths.u32();
    const result = readSmall(opener, paths.bytes(), room.subarray(used, used + listedBytes), request.limitBytes);
    const isInRoom = !result.ok || result.data.buffer === room.buffer;
    if (!isInRoom) grown.push(result.data.buffer as ArrayBuffer);
    writeResult(records, result, isInRoom ? 0 : grown.length);
    used += listedBytes;
  }
  return { records: records.finish(), grown };
}

/** `grown`: 0 for the room, else which of the grown files, counted from 1. */
function writeResult(records: RecordWriter, result: ReadResult, grown: number): void {
  records.u8(result.ok ? 1 : 0);
  if (!result.ok) {
    records.item(result.skipped);
    return;
  }
  records.item(result.entry);
  records.u8(result.changed ? 1 : 0);
  records.bytes(result.sha256 ?? Buffer.alloc(0));
  records.u32(grown);
  records.u32(result.data.byteOffset);
}

function open(path: Uint8Array): OpenReply {
  const name = Buffer.from(path);
  const opened = opener.open(name);
  const record = new RecordWriter(name.length + 128);
  record.item(isSkipped(opened) ? opened : toEntry(name, 'file', opened.stats));
  return { record: record.finish(), ...(isSkipped(opened) ? {} : { fd: opened.fd }) };
}

function answer(request: ThreadRequest): { value: ThreadReply & { ok: true }; transfer: ArrayBuffer[] } {
  const reply = (value: (ThreadReply & { ok: true })['value'], ...transfer: ArrayBuffer[]) => ({
    value: { ok: true as const, value },
    transfer,
  });
  switch (request.op) {
    case 'walk':
      walking = walk(cursor, request.oneFileSystem);
      return reply(undefined);
    case 'items': {
      const items = nextItems();
      return reply(items, items.records);
    }
    case 'count':
      return reply(countMore());
    case 'read': {
      const read = readMany(request);
      return reply(read, read.records, ...read.grown);
    }
    case 'open': {
      const opened = open(request.path);
      return reply(opened, opened.record);
    }
    case 'close':
      cursor.close();
      parentPort?.close();
      return reply(undefined);
  }
}

parentPort?.on('message', (request: ThreadRequest) => {
  try {
    const { value, transfer } = answer(request);
    parentPort?.postMessage(value, transfer);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    parentPort?.postMessage({ ok: false, code, message } satisfies ThreadReply);
  }
});
