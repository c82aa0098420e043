import type { Locator } from '@xvault/shared/snapshots.ts';

/** What the demo ends with; `--json` prints it as one object. */
export interface DemoReport {
  readonly source: string;
  readonly status: string;
  readonly snapshot_id: string;
  readonly locator: Locator;
  readonly files: number;
  readonly bytes_in: number;
  readonly bytes_stored: number;
  /** Bytes in ÷ bytes stored. */
  readonly ratio: number;
  /** The backup alone. */
  readonly seconds: number;
  readonly mb_per_s: number;
  readonly verified: boolean;
  readonly compared_entries: number;
  readonly differences: number;
  /** Whether `age`, `zstd` and `tar` alone opened the artifact to an equal tree; null when a tool is not installed. */
  readonly opened_by_standard_tools: boolean | null;
}

const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 2 });

export function renderTable(report: DemoReport): string {
  const rows: [string, string][] = [
    ['files', number.format(report.files)],
    ['bytes in', number.format(report.bytes_in)],
    ['bytes stored', number.format(report.bytes_stored)],
    ['ratio', number.format(report.ratio)],
    ['seconds', number.format(report.seconds)],
    ['MB/s', number.format(report.mb_per_s)],
  ];
  const width = Math.max(...rows.map(([, value]) => value.length));
  return rows.map(([name, value]) => `  ${name.padEnd(14)}${value.padStart(width)}`).join('\n');
}
