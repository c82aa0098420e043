import type { FileSearch } from '@xvault/shared/browse.ts';
import { pathToText } from '../../artifact/path-text.ts';
import { globPattern } from './browse-glob.ts';
import type { IndexLine } from './browse-lines.ts';

/** What of a line a test looks at. */
type Searched = Pick<IndexLine, 'path' | 'plainText' | 'brief'>;
/** Whether a line is what is looked for. */
export type LineTest = (line: Searched) => boolean;

/** All that is set must hold. Cheap tests come first, for most lines fail. Throws BAD_REQUEST for a pattern that is none. */
export function searchTest(search: FileSearch): LineTest {
  const tests: LineTest[] = [];
  if (search.text !== null) {
    const text = search.text.toLowerCase();
    tests.push((line) => textOf(line).toLowerCase().includes(text));
  }
  if (search.glob !== null) {
    const pattern = globPattern(search.glob);
    tests.push((line) => pattern.matches(textOf(line), () => line.brief.type === 'directory'));
  }
  const minBytes = search.min_size_bytes ?? 0;
  const maxBytes = search.max_size_bytes ?? Number.POSITIVE_INFINITY;
  // Only files have a size to ask for.
  if (search.min_size_bytes !== null || search.max_size_bytes !== null) {
    tests.push(({ brief }) => {
      const sizeBytes = brief.sizeBytes - brief.paddingBytes;
      return brief.type === 'file' && sizeBytes >= minBytes && sizeBytes <= maxBytes;
    });
  }
  const afterNs = search.modified_after === null ? null : nanoseconds(search.modified_after);
  const beforeNs = search.modified_before === null ? null : nanoseconds(search.modified_before);
  if (afterNs !== null || beforeNs !== null) {
    tests.push(
      ({ brief: { mtimeNs } }) => mtimeNs >= (afterNs ?? mtimeNs) && (beforeNs === null || mtimeNs < beforeNs),
    );
  }
  return (line) => tests.every((test) => test(line));
}

function textOf(line: Pick<Searched, 'path' | 'plainText'>): string {
  return line.plainText ?? pathToText(line.path);
}

/** Date knows milliseconds; what stands after them is taken from the text. */
function nanoseconds(time: string): bigint {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? '';
  const whole = time.replace(/\.\d+/, '');
  return BigInt(Date.parse(whole)) * 1_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9));
}
