/** Exact seconds as a decimal with nine digits of fraction: `12.500000000`, `-1.000000001`. */
export const fixedSecondsPattern = /^-?\d{1,19}\.\d{9}$/;

/** In nanoseconds; the text must match {@link fixedSecondsPattern}. */
export function parseFixedSeconds(text: string): bigint {
  return BigInt(text.replace('.', ''));
}
