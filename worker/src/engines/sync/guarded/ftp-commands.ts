import type { Direction } from './ftp-channel.ts';

export interface FtpCommand {
  readonly verb: string;
  readonly argument: string;
}

export function parseCommand(line: string): FtpCommand {
  const [, verb = '', argument = ''] = /^(\S*) ?(.*)$/s.exec(line) ?? [];
  return { verb: verb.toUpperCase(), argument };
}

/** What moves bytes over a data connection, and in which direction. */
export const transfers: ReadonlyMap<string, Direction> = new Map([
  ['RETR', 'download'],
  ['LIST', 'download'],
  ['NLST', 'download'],
  ['MLSD', 'download'],
  ['STOR', 'upload'],
  ['APPE', 'upload'],
]);

/** What brings names. */
export const listings: ReadonlySet<string> = new Set(['LIST', 'NLST', 'MLSD']);

const plainVerbs =
  'FEAT OPTS TYPE SYST NOOP PWD CWD CDUP MKD RMD DELE RNFR RNTO SIZE MDTM MFMT MLST REST STAT ALLO PRET CLNT HELP';
const passed = new Set([...plainVerbs.split(' '), ...transfers.keys()]);

const pathless = new Set('FEAT OPTS TYPE SYST NOOP REST ALLO PRET CLNT HELP'.split(' '));

/** Whether a command means another thing in another working directory. */
export function isRelative({ verb, argument }: FtpCommand): boolean {
  return !pathless.has(verb) && !argument.startsWith('/');
}

/**
 * Whether a command may go to the server. What could open another way (PORT, EPRT, LPRT, LPSV), change the encryption (AUTH, PBSZ,
 * PROT, CCC) or do anything at all (SITE) is not among them.
 */
export function isPassed(verb: string): boolean {
  return passed.has(verb);
}
