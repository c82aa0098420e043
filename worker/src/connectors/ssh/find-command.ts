import { assignBytes, posixShell } from './shell.ts';

/** Written before all answers, for login shells that write something of their own first. */
export const findBeginLine = 'xvault-find-begin';

/**
 * What is asked: directories and all that is in them, with a symlink in their place followed or not; or single things, themselves
 * or what they lead to.
 */
export type FindQuestion = 'directory' | 'followed directory' | 'item' | 'followed item';

const letters: Record<FindQuestion, string> = {
  directory: 'd',
  'followed directory': 'D',
  item: 'i',
  'followed item': 'I',
};

/** Depth, type, device, inode, links, mode, owner, group, size, time; a name never holds a slash, so that one ends it. */
const format = '%d %y %D %i %n %m %U %G %s %T@ %f/%l\\\\0';

const answers = [
  'd) find "$@" -maxdepth 1 -ignore_readdir_race -printf "$f";;',
  'D) find -H "$@" -maxdepth 1 -ignore_readdir_race -printf "$f";;',
  'i) find "$@" -maxdepth 0 -printf "$f";;',
  'I) find -L "$@" -maxdepth 0 -printf "$f";;',
].join(' ');

/**
 * One shell that takes questions on its standard input for as long as it is open, and answers each with its records and how find
 * ended. GNU find only.
 */
export function findCommand(root: Buffer): string {
  return posixShell(
    [
      'LC_ALL=C; export LC_ALL; unset CDPATH POSIXLY_CORRECT',
      assignBytes('p', root),
      'cd "$p" || exit 3',
      `f="${format}"`,
      `echo ${findBeginLine}`,
      `while read -r k p; do eval "set -- $(printf "$p")"; case $k in ${answers} esac; printf "=%d\\\\0" $?; done`,
    ].join('; '),
  );
}

/** One question about some paths, in one line: as words in quotes, of which all but plain bytes are written in octal. */
export function questionLine(question: FindQuestion, paths: readonly Buffer[]): string {
  return `${letters[question]} ${paths.map(quoted).join(octal(space))}\n`;
}

const [space, quote] = [0x20, 0x27];

function quoted(path: Buffer): string {
  let text = `${octal(quote)}./`;
  for (const byte of path) {
    const char = String.fromCharCode(byte);
    // A quote ends the word, stands for itself, and begins the word again.
    if (byte === quote) text += octal(quote) + octal(0x5c) + octal(quote) + octal(quote);
    else text += /[A-Za-z0-9_./-]/.test(char) ? char : octal(byte);
  }
  return text + octal(quote);
}

function octal(byte: number): string {
  return `\\${byte.toString(8).padStart(3, '0')}`;
}
