import { expect, it } from 'vitest';
import { featuresOf } from './version.ts';

it.each([
  ['v1.60.1-DEV', false],
  ['v1.62.2', false],
  ['v1.63.0', true],
  ['v1.75.0-beta.1', true],
  ['2.0', true],
])('%s is good enough; with files in flight under other names: %s', (text, writesPartials) => {
  expect(featuresOf(text)).toEqual({ version: text, writesPartials });
});

it.each(['v1.60.0', 'v1.9.9', 'v0.99.9', '', 'rclone'])('%j is not', (text) => {
  expect(() => featuresOf(text)).toThrow(expect.objectContaining({ code: 'SYNC_TOOL_UNSUITABLE' }));
});
