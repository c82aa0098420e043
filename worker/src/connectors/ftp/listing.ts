export type ListedType = 'file' | 'directory' | 'symlink' | 'other';

/** One line of a listing; its texts are as on the wire. */
export interface ListedItem {
  readonly name: string;
  readonly type: ListedType;
  readonly sizeBytes: number;
  readonly mode: number | undefined;
  readonly uid: number;
  readonly gid: number;
  /** Exact in MLSD; of LIST to the minute or the day, and taken as UTC. */
  readonly mtimeNs: bigint;
  readonly linkTarget?: string;
  /** Equal for one and the same file; of MLSD. */
  readonly unique?: string;
}

/** A line that is none: most likely the rest of a name with a line break in it. */
export interface BrokenLine {
  readonly broken: string;
}

/** All that was listed, without `.` and `..`. `self` is whether a LIST named those two: it has taken `-a`, then. */
export interface ParsedListing {
  readonly items: readonly (ListedItem | BrokenLine)[];
  readonly self: boolean;
}

export function isBroken(item: ListedItem | BrokenLine): item is BrokenLine {
  return 'broken' in item;
}

export function parseMlsd(raw: string): ParsedListing {
  return collect(raw, parseFacts);
}

/** Lines as `ls -l` or DOS's `dir` write them. `now` is for dates without a year. */
export function parseLsList(raw: string, now: Date): ParsedListing {
  return collect(raw, (line) =>
    /^total \d+$/.test(line) ? 'ignored' : (parseUnixLine(line, now) ?? parseDosLine(line)),
  );
}

type Parsed = ListedItem | 'ignored' | 'self' | undefined;

function collect(raw: string, parse: (line: string) => Parsed): ParsedListing {
  const items: (ListedItem | BrokenLine)[] = [];
  let self = false;
  // With whole line ends to go by, a lone line feed belongs to a name.
  for (const line of raw.split(raw.includes('\r\n') ? '\r\n' : '\n')) {
    if (line === '') continue;
    const item = parse(line);
    if (item === 'ignored') continue;
    if (item === 'self' || (typeof item === 'object' && (item.name === '.' || item.name === '..'))) self = true;
    else if (item === undefined) {
      // The line before it is the beginning of the same name.
      items.pop();
      items.push({ broken: line });
    } else if (/[\r\n\0/]/.test(item.name) || item.name === '') items.push({ broken: item.name });
    else items.push(item);
  }
  return { items, self };
}

/** `type=file;size=3;modify=20260102030405; the name` */
function parseFacts(line: string): Parsed {
  const cut = line.indexOf(' ');
  const packed = line.slice(0, cut);
  if (cut === -1 || (packed !== '' && !/^(?:[^=;]+=[^;]*;)+$/.test(packed))) return undefined;
  const facts = new Map<string, string>();
  for (const fact of packed.split(';')) {
    const equals = fact.indexOf('=');
    if (equals > 0) facts.set(fact.slice(0, equals).toLowerCase(), fact.slice(equals + 1));
  }
  const type = facts.get('type')?.toLowerCase() ?? '';
  if (type === 'cdir' || type === 'pdir') return 'self';
  const linkTarget = /^os\.unix=slink:(.+)$/i.exec(facts.get('type') ?? '')?.[1];
  const unique = facts.get('unique');
  return {
    name: line.slice(cut + 1),
    type: typeOfFact(type),
    sizeBytes: count(facts.get('size') ?? facts.get('sizd')),
    mode: octal(facts.get('unix.mode')),
    uid: count(facts.get('unix.uid') ?? facts.get('unix.owner')),
    gid: count(facts.get('unix.gid') ?? facts.get('unix.group')),
    mtimeNs: parseFtpTime(facts.get('modify') ?? '') ?? 0n,
    ...(linkTarget !== undefined && { linkTarget }),
    ...(unique !== undefined && { unique }),
  };
}

function typeOfFact(type: string): ListedType {
  if (type === 'file') return 'file';
  if (type === 'dir') return 'directory';
  return /^os\.unix=(slink|symlink)/.test(type) ? 'symlink' : 'other';
}

function octal(text: string | undefined): number | undefined {
  const digits = /^(?:0o?)?([0-7]{1,6})$/.exec(text ?? '')?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8) & 0o7777;
}

function count(text: string | undefined): number {
  const value = /^\d{1,16}$/.test(text ?? '') ? Number(text) : 0;
  return Number.isSafeInteger(value) ? value : 0;
}

/** `YYYYMMDDHHMMSS[.fraction]` in UTC, as MDTM and MLSD have it. */
export function parseFtpTime(text: string): bigint | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?/.exec(text);
  if (parts === null) return undefined;
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts.slice(1, 7).map(Number);
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  if (!Number.isFinite(ms)) return undefined;
  return BigInt(ms) * 1_000_000n + BigInt((parts[7] ?? '').padEnd(9, '0'));
}

const unixTypes: Record<string, ListedType> = { '-': 'file', d: 'directory', l: 'symlink' };
const unixLine =
  /^([bcdlps-])([rwxsStT-]{9})\S? +(?:\d+ +)?(\S+) +(?:(\S+) +)?(\d+)(?:, *\d+)? +(\w{3}) +(\d{1,2}) +(\d{4}|\d{1,2}:\d\d) (.*)$/s;

function parseUnixLine(line: string, now: Date): ListedItem | undefined {
  const parts = unixLine.exec(line);
  if (parts === null) return undefined;
  const [, letter = '', bits = '', owner, group, size, month = '', day = '', yearOrTime = '', rest = ''] = parts;
  const type = unixTypes[letter] ?? 'other';
  const arrow = type === 'symlink' ? rest.indexOf(' -> ') : -1;
  return {
    name: arrow === -1 ? rest : rest.slice(0, arrow),
    type,
    sizeBytes: count(size),
    mode: modeOfBits(bits),
    uid: count(owner),
    gid: count(group),
    mtimeNs: dateOfList(month, Number(day), yearOrTime, now),
    ...(arrow !== -1 && { linkTarget: rest.slice(arrow + 4) }),
  };
}

function modeOfBits(bits: string): number {
  let mode = 0;
  for (let at = 0; at < 9; at += 1) {
    const letter = bits[at] ?? '-';
    if (!'-ST'.includes(letter)) mode |= 0o400 >> at;
    if ('sStT'.includes(letter)) mode |= [0o4000, 0o2000, 0o1000][Math.floor(at / 3)] ?? 0;
  }
  return mode;
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const dayMs = 86_400_000;

function dateOfList(month: string, day: number, yearOrTime: string, now: Date): bigint {
  const at = months.indexOf(month.toLowerCase());
  if (at === -1) return 0n;
  if (!yearOrTime.includes(':')) return nanoseconds(Date.UTC(Number(yearOrTime), at, day));
  const [hour = 0, minute = 0] = yearOrTime.split(':').map(Number);
  const thisYear = Date.UTC(now.getUTCFullYear(), at, day, hour, minute);
  // A time instead of a year is of the last months; servers may be ahead by their time zone.
  const isAhead = thisYear > now.getTime() + dayMs;
  return nanoseconds(isAhead ? Date.UTC(now.getUTCFullYear() - 1, at, day, hour, minute) : thisYear);
}

const dosLine = /^(\d\d)-(\d\d)-(\d{2}|\d{4}) +(\d{1,2}):(\d\d) *([AP]M)? +(<DIR>|\d+) (?: *)(\S.*)$/s;

function parseDosLine(line: string): ListedItem | undefined {
  const parts = dosLine.exec(line);
  if (parts === null) return undefined;
  const [month = 1, day = 1, shortYear = 0, hour = 0, minute = 0] = parts.slice(1, 6).map(Number);
  const year = shortYear < 70 ? shortYear + 2000 : shortYear < 100 ? shortYear + 1900 : shortYear;
  const hours = parts[6] === undefined ? hour : (hour % 12) + (parts[6] === 'PM' ? 12 : 0);
  const isDirectory = parts[7] === '<DIR>';
  return {
    name: parts[8] ?? '',
    type: isDirectory ? 'directory' : 'file',
    sizeBytes: isDirectory ? 0 : count(parts[7]),
    mode: undefined,
    uid: 0,
    gid: 0,
    mtimeNs: nanoseconds(Date.UTC(year, month - 1, day, hours, minute)),
  };
}

function nanoseconds(ms: number): bigint {
  return Number.isFinite(ms) ? BigInt(ms) * 1_000_000n : 0n;
}
