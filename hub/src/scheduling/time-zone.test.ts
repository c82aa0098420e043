import { expect, test } from 'vitest';
import { isTimeZone, meaningOf, offsetAt } from './time-zone.ts';

const minuteMs = 60_000;

test.each([
  ['UTC', '2026-01-01T00:00Z', 0],
  ['Europe/Berlin', '2026-03-29T00:59:59.999Z', 60],
  ['Europe/Berlin', '2026-03-29T01:00Z', 120],
  ['America/St_Johns', '2026-01-01T00:00Z', -210],
  ['Australia/Lord_Howe', '2026-01-01T00:00Z', 660],
  ['Australia/Lord_Howe', '2026-07-01T00:00Z', 630],
  ['Asia/Kathmandu', '2026-07-01T00:00Z', 345],
])('offset of %s at %s', (zone, at, minutes) => {
  expect(offsetAt(zone, Date.parse(at))).toBe(minutes * minuteMs);
});

test('what a local time means', () => {
  const meaning = (zone: string, wall: string) => {
    const { instants, gap } = meaningOf(zone, Date.parse(`${wall}Z`));
    const text = (ms: number) => new Date(ms).toISOString().slice(0, 16);
    return { instants: instants.map(text), gap: gap && [text(gap.end), text(gap.shifted)] };
  };
  expect(meaning('Europe/Berlin', '2026-06-01T02:30')).toEqual({ instants: ['2026-06-01T00:30'], gap: null });
  expect(meaning('Europe/Berlin', '2026-10-25T02:00')).toEqual({
    instants: ['2026-10-25T00:00', '2026-10-25T01:00'],
    gap: null,
  });
  expect(meaning('Europe/Berlin', '2026-03-29T02:30')).toEqual({
    instants: [],
    gap: ['2026-03-29T01:00', '2026-03-29T01:30'],
  });
  // A whole day that did not exist.
  expect(meaning('Pacific/Apia', '2011-12-30T12:00').gap?.[0]).toBe('2011-12-30T10:00');
});

test('names of the IANA database', () => {
  expect(['UTC', 'Europe/Berlin', 'Etc/GMT+5'].map(isTimeZone)).toEqual([true, true, true]);
  expect(['', '+02:00', 'Nowhere', 'Europe/', '../etc'].map(isTimeZone)).toEqual([false, false, false, false, false]);
});
