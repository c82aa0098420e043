import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { obscure } from './obscure.ts';

it.each(['x', 'a password', 'päßwörd — ☃', '-leading', 'with\nline break', 'y'.repeat(4096)])(
  'rclone reveals what was obscured: %j',
  (password) => {
    expect(execFileSync('rclone', ['reveal', '--', obscure(password)], { encoding: 'utf8' })).toBe(`${password}\n`);
    expect(obscure(password)).not.toBe(obscure(password));
  },
);
