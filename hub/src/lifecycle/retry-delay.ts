/** Milliseconds before the next attempt after so many failed: full jitter, so that many runs do not come back at once. */
export function retryDelayMs(
  failures: number,
  { retryBaseMs, retryMaxMs }: { readonly retryBaseMs: number; readonly retryMaxMs: number },
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(retryMaxMs, retryBaseMs * 2 ** Math.min(failures - 1, 30));
  return Math.floor(random() * ceiling);
}
