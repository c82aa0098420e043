const nsPerSecond = 1_000_000_000n;

/** Exact seconds as a decimal, as short as can be: `0`, `12.5`, `-1.000000001`. */
export function decimalSeconds(ns: bigint): string {
  const { sign, seconds, fraction } = parts(ns);
  const short = fraction.replace(/0+$/, '');
  return short === '' ? `${sign}${seconds}` : `${sign}${seconds}.${short}`;
}

/** Exact seconds as a decimal with nine digits of fraction: `12.500000000`, `-1.000000001`. */
export function fixedSeconds(ns: bigint): string {
  const { sign, seconds, fraction } = parts(ns);
  return `${sign}${seconds}.${fraction}`;
}

export const fixedSecondsPattern = /^-?\d{1,19}\.\d{9}$/;

/** The reverse of {@link fixedSeconds}; the text must match {@link fixedSecondsPattern}. */
export function parseFixedSeconds(text: string): bigint {
  return BigInt(text.replace('.', ''));
}

function parts(ns: bigint): { sign: string; seconds: bigint; fraction: string } {
  const positive = ns < 0n ? -ns : ns;
  return {
    sign: ns < 0n ? '-' : '',
    seconds: positive / nsPerSecond,
    fraction: String(positive % nsPerSecond).padStart(9, '0'),
  };
}
