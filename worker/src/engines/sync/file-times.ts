/** Nanoseconds since 1970 of a time in RFC 3339, all its digits kept; 0 for one that is not known or no time. */
export function nanosecondsOf(time: string | null): bigint {
  const ms = time === null ? Number.NaN : Date.parse(time);
  if (Number.isNaN(ms)) return 0n;
  const fraction = /\.(\d{1,9})/.exec(time ?? '')?.[1] ?? '';
  return BigInt(Math.floor(ms / 1000)) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
}
