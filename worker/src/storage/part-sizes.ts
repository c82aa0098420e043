const mebibyte = 1024 * 1024;

/** S3's own limits of a multipart upload. */
export const maxParts = 10_000;
const maxPartBytes = 5 * 1024 * mebibyte;
const firstPartBytes = 8 * mebibyte;
/** Parts grow with what has been sent, so that 10,000 of them reach 5 TiB of a stream whose length nobody knows. */
const growth = 0.00075;
/** Sent but not yet acknowledged. */
const inFlightBytes = 32 * mebibyte;

/** Size of the next part of an upload of which `sentBytes` were sent. Whole mebibytes. */
export function nextPartBytes(sentBytes: number): number {
  const wanted = Math.ceil((sentBytes * growth) / mebibyte) * mebibyte;
  return Math.min(Math.max(firstPartBytes, wanted), maxPartBytes);
}

/** How many parts of this size may be on their way at a time. */
export function partsInFlight(partBytes: number): number {
  return Math.max(1, Math.floor(inFlightBytes / partBytes));
}
