import { assignBytes, posixShell } from './shell.ts';
import type { TarKind } from './tools.ts';

/** Written before the archive, for login shells that write something of their own first. */
export const beginLine = 'xvault-tar-begin';

/** Blocks of GNU tar's records, which leave it whole. */
const recordBlocks = 8;
/** Entries that push whatever came before them out of the last record: one block each at least. */
export const flushEntries = recordBlocks + 1;

export interface TarWay {
  /**
   * Whether the names are read one by one as they come. Where not, each list of names needs a command of its own, and what
   * comes may be several archives, one after the other.
   */
  readonly streams: boolean;
  readonly command: (root: Buffer, followSymlinks: boolean) => string;
}

/** Names come on the standard input, each closed by a NUL and none beginning with a dash. Never sparse, never recursive. */
const programs: Record<TarKind, (follow: string) => string> = {
  gnu: (follow) =>
    `exec tar --format=posix --pax-option=delete=atime,delete=ctime -b ${recordBlocks} --no-recursion --hard-dereference ${follow} --null -T - -cf -`,
  bsd: (follow) => `exec tar --format pax -n ${follow} --null -T - -cf -`,
  busybox: (follow) => `exec xargs -0 tar -c ${follow} -f -`,
};

export function tarWay(kind: TarKind): TarWay {
  return {
    streams: kind === 'gnu',
    command: (root, followSymlinks) =>
      posixShell(
        [
          'LC_ALL=C; export LC_ALL; unset CDPATH TAR_OPTIONS TAR_READER_OPTIONS TAR_WRITER_OPTIONS POSIXLY_CORRECT',
          assignBytes('p', root),
          'cd "$p" || exit 3',
          `echo ${beginLine}`,
          programs[kind](followSymlinks ? '-h' : ''),
        ].join('; '),
      ),
  };
}
