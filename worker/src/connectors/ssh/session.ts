import type { ReadResult, SourceEntry, SourceSession } from '../connector.ts';
import { skip, typeOf } from '../sftp/entries.ts';
import type { SftpLinks } from '../sftp/link.ts';
import { remotePath } from '../sftp/listing.ts';
import { lstat, stat } from '../sftp/operations.ts';
import type { Attrs } from '../sftp/packets.ts';
import type { OpenedRoot } from '../sftp/root.ts';
import { sftpSession, smallFileBytes, type TreeListing } from '../sftp/session.ts';
import { SftpStatusError } from '../sftp/status.ts';
import type { SftpWire } from '../sftp/wire.ts';
import type { TarAnswer, TarFile } from './tar-feed.ts';
import { TarFiles } from './tar-files.ts';
import type { RemoteTools, TarKind } from './tools.ts';

/** tar answers in order, so more of them only fill the line. */
const batchesInFlight = 8;

export interface SshSessionOptions {
  readonly links: SftpLinks;
  readonly root: OpenedRoot;
  readonly tar: TarKind;
  readonly tools: RemoteTools;
  readonly stallMs: number;
  /** By SFTP where it is absent. */
  readonly listing?: TreeListing | undefined;
}

/**
 * A source whose small files stream through one remote tar, while SFTP beside it on the same connection reads the large
 * ones, lists where nothing better does, and tries whatever tar leaves out, so that each failure is told for what it is.
 */
export function sshSession({ links, root, tar, tools, stallMs, listing }: SshSessionOptions): SourceSession {
  const sftp = sftpSession(links, root, listing);
  const files = new TarFiles({ links, kind: tar, root: root.path, limitBytes: smallFileBytes, stallMs });

  async function readMany(entries: readonly SourceEntry[], signal: AbortSignal): Promise<ReadResult[]> {
    const answers = await files.read(
      entries.map(({ path }) => path),
      signal,
    );
    const after = await statEach(entries, (at) => typeof answers[at] === 'object', signal);
    const results = entries.map((listed, at) => resultOf(listed, answers[at] ?? 'nothing', after[at]));
    const left = entries.filter((_, at) => results[at] === undefined);
    const others = (await readBySftp(left, signal)).values();
    return results.map((result) => result ?? others.next().value ?? missing());
  }

  /** Opening by SFTP would follow a symlink that has taken the name of a file. */
  async function readBySftp(entries: readonly SourceEntry[], signal: AbortSignal): Promise<ReadResult[]> {
    if (entries.length === 0) return [];
    const before = await statEach(entries, () => true, signal);
    const readable = entries.filter((_, at) => isFile(before[at]));
    const results = (await sftp.readMany(readable, signal)).values();
    return entries.map((entry, at) => {
      const result = isFile(before[at]) ? results.next().value : notAFile(entry.path);
      return result ?? missing();
    });
  }

  /** What SFTP says of some entries now; undefined also where it says nothing. */
  function statEach(
    entries: readonly SourceEntry[],
    isWanted: (at: number) => boolean,
    signal: AbortSignal,
  ): Promise<(Attrs | undefined)[]> {
    const look = async (wire: SftpWire, path: Buffer) => {
      try {
        return await (files.followSymlinks ? stat : lstat)(wire, remotePath(root, path), signal);
      } catch (error) {
        if (error instanceof SftpStatusError) return undefined;
        throw error;
      }
    };
    return links.run(
      ({ wire }) => Promise.all(entries.map(({ path }, at) => (isWanted(at) ? look(wire, path) : undefined))),
      signal,
    );
  }

  return {
    ...sftp,
    batchesInFlight,
    list(options) {
      files.followSymlinks = options.followSymlinks === true;
      files.prepare(options.signal);
      return sftp.list(options);
    },
    readMany,
    describe: () => ({
      transport: files.reason === null ? 'tar' : 'sftp',
      ...(files.reason === null ? {} : { transport_reason: files.reason.slice(0, 200) }),
      tar: tools.tarVersion,
      files_by_tar: files.fileCount,
      connections_lost: links.losses,
    }),
    async close() {
      files.close();
      await sftp.close();
    },
  };
}

function missing(): never {
  throw new Error('SFTP gave too few results');
}

/** What cannot be looked at is tried all the same, for the reason. */
function isFile(attrs: Attrs | undefined): boolean {
  const type = attrs === undefined ? 'unknown' : typeOf(attrs);
  return type === 'file' || type === 'unknown';
}

function notAFile(path: Buffer): ReadResult {
  return { ok: false, skipped: skip(path, 'ITEM_VANISHED', 'something else has taken its name') };
}

/** Undefined where SFTP has to be asked. */
function resultOf(listed: SourceEntry, answer: TarAnswer, after: Attrs | undefined): ReadResult | undefined {
  if (answer === 'nothing') return undefined;
  const { path } = listed;
  if (answer === 'not a file') return notAFile(path);
  const { entry, data } = answer;
  if (!data) return undefined;
  const { mode, uid, gid, mtimeNs } = entry;
  const read: SourceEntry = { path, type: 'file', sizeBytes: data.length, mode, uid, gid, mtimeNs };
  return { ok: true, entry: read, data, changed: hasChanged(answer, after) };
}

const nsPerSecond = 1_000_000_000n;

/** SFTP's times are whole seconds. A file that is gone by now was whole when it was read. */
function hasChanged({ entry }: TarFile, after: Attrs | undefined): boolean {
  if (!after) return false;
  const seconds = (ns: bigint) =>
    BigInt.asIntN(64, ns - (((ns % nsPerSecond) + nsPerSecond) % nsPerSecond)) / nsPerSecond;
  return after.sizeBytes !== entry.sizeBytes || seconds(after.mtimeNs) !== seconds(entry.mtimeNs);
}
