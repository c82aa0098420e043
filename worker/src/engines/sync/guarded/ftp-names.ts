import type { FtpEncoding } from '../../../connectors/ftp/names.ts';
import type { FtpReply } from './ftp-lines.ts';

/** rclone speaks UTF-8; a server may not. Lines are bytes, one to a character. */
export interface FtpNames {
  /** Null where the server's encoding has no way to write it. */
  lineToServer(line: string): string | null;
  replyFromServer(reply: FtpReply): FtpReply;
  /** Null where it is passed on as it is. */
  readonly listingFromServer: ((chunk: Buffer) => Buffer) | null;
}

const asTheyAre: FtpNames = {
  lineToServer: (line) => line,
  replyFromServer: (reply) => reply,
  listingFromServer: null,
};

const latin1: FtpNames = {
  lineToServer(line) {
    const text = Buffer.from(line, 'latin1').toString('utf8');
    return [...text].every((letter) => letter.charCodeAt(0) <= 0xff) ? text : null;
  },
  replyFromServer: ({ code, lines }) => ({ code, lines: lines.map((line) => Buffer.from(line).toString('latin1')) }),
  listingFromServer: (chunk) => Buffer.from(chunk.toString('latin1')),
};

export function namesOf(encoding: FtpEncoding): FtpNames {
  return encoding === 'latin1' ? latin1 : asTheyAre;
}
