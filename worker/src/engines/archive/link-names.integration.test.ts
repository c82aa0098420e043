import { readdirSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, expect, test } from 'vitest';
import { LinkNames } from './link-names.ts';

const opened: LinkNames[] = [];
afterEach(() => {
  for (const names of opened.splice(0)) names.close();
});

function linkNames(mostInMemory: number): LinkNames {
  const names = new LinkNames(mostInMemory);
  opened.push(names);
  return names;
}

/** What this process has open in the folder for temporary files. */
function temporaryFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(`${tmpdir()}/xvault-names-`) ? [path] : [];
    } catch {
      // The descriptor by which the folder was read.
      return [];
    }
  });
}

const pathOf = (at: number) => Buffer.concat([Buffer.from(`folder-${at % 97}/`), Buffer.from([0xff, 0x0a, at % 256])]);

test('many names are found again, from memory and from the file alike', () => {
  const names = linkNames(100);
  const count = 20_000;
  for (let at = 0; at < count; at += 1) {
    expect(names.has(`device:${at}`)).toBe(false);
    names.set(`device:${at}`, pathOf(at));
    if (at % 3 === 0) expect(names.get(`device:${at}`)).toEqual(pathOf(at));
  }
  for (let at = 0; at < count; at += 1) expect(names.get(`device:${at}`)).toEqual(pathOf(at));
  expect(names.get(`device:${count}`)).toBeUndefined();
  expect(names.get('')).toBeUndefined();
});

test('a later path takes the place of the earlier one', () => {
  const names = linkNames(2);
  for (const round of ['first', 'second']) {
    for (let at = 0; at < 50; at += 1) names.set(`${at}`, Buffer.from(`${round} ${at}`));
  }
  for (let at = 0; at < 50; at += 1) expect(names.get(`${at}`)?.toString()).toBe(`second ${at}`);
});

test('paths of all lengths are kept, also those that fill more than is gathered', () => {
  const names = linkNames(0);
  const lengths = [0, 1, 495, 512, 513, 4095, 65_520, 65_536, 70_000, 3];
  for (const length of lengths) names.set(`key ${length}`, Buffer.alloc(length, length % 251));
  for (const length of lengths) expect(names.get(`key ${length}`)).toEqual(Buffer.alloc(length, length % 251));
});

test('what is kept is a copy', () => {
  const names = linkNames(10);
  const path = Buffer.from('path');
  names.set('key', path);
  path.fill(0);
  expect(names.get('key')?.toString()).toBe('path');
});

test('the file has no name and is gone when the names are', () => {
  const names = linkNames(1);
  for (let at = 0; at < 1000; at += 1) names.set(`${at}`, pathOf(at));
  expect(temporaryFiles()).toEqual([expect.stringMatching(/ \(deleted\)$/)]);
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith('xvault-names-'))).toEqual([]);
  names.close();
  expect(temporaryFiles()).toEqual([]);
  expect(names.get('1')).toBeUndefined();
});
