import { describe, expect, it } from 'vitest';
import { fromStandardName, toStandardName } from './standard-names.ts';

describe('names in the form of rclone', () => {
  it.each([
    ['plain/name.txt', 'plain/name.txt'],
    ['two␊lines', 'two\nlines'],
    ['tab␉del␡', 'tab\tdel\u{7f}'],
    ['lit‛␊eral', 'lit␊eral'],
    ['／x', '／x'],
    ['．．', '．．'],
    ['it‛s', 'it‛s'],
  ])('%j is %j', (standard, name) => {
    expect(fromStandardName(standard)).toBe(name);
    expect(toStandardName(name)).toBe(standard);
  });
});
