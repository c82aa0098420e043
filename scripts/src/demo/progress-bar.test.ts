import { expect, test } from 'vitest';
import { formatBytes, formatSeconds, printable } from './format.ts';
import { ProgressBar, renderProgress } from './progress-bar.ts';

const progress = {
  progress_pct: 50,
  bytes_total: 2048,
  bytes_transferred: 1024,
  objects_transferred: 3,
  speed_bytes_per_sec: 512,
  eta_seconds: 62,
  current_item: 'some/file\n\u001b[2Jname',
};

test('shows per cent, bytes, speed, time left and the item without control characters', () => {
  const line = renderProgress('backup', progress, 160);
  expect(line).toBe(
    'backup ████████████░░░░░░░░░░░░  50.0 %  1.0 KiB of 2.0 KiB  512 B/s  ETA 1:02  some/file??[2Jname',
  );
});

test('never gets wider than the terminal', () => {
  for (let columns = 20; columns < 200; columns += 7) {
    expect(renderProgress('backup', { ...progress, current_item: 'x'.repeat(500) }, columns).length).toBeLessThan(
      columns,
    );
  }
});

test('says so when the total is not known yet', () => {
  const line = renderProgress('backup', { ...progress, progress_pct: null, bytes_total: null, eta_seconds: null }, 100);
  expect(line).toContain('--.- %  1.0 KiB  512 B/s  some');
});

test('draws over the line on a terminal, writes few lines elsewhere', () => {
  const written: string[] = [];
  const write = (text: string) => written.push(text);
  const onTerminal = new ProgressBar('t', { write, isTTY: true, columns: 100 });
  onTerminal.show(progress);
  onTerminal.show(progress);
  onTerminal.end();
  expect(written.every((text) => text.startsWith('\r\u001b[K'))).toBe(true);
  expect(written).toHaveLength(3);
  written.length = 0;
  const plain = new ProgressBar('t', { write });
  for (let count = 0; count < 50; count += 1) plain.show(progress);
  plain.end();
  expect(written).toHaveLength(1);
});

test('formats sizes and times', () => {
  expect([0, 1023, 1536, 150 * 1024, 5 * 2 ** 30].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.5 KiB',
    '150 KiB',
    '5.0 GiB',
  ]);
  expect([0, 59.4, 60, 3600].map(formatSeconds)).toEqual(['0:00', '0:59', '1:00', '60:00']);
  expect(printable('abcdefghij', 5)).toBe('ab…ij');
});
