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

/** Copies that a server makes at a time. */
export const copiesInFlight = 8;
/** A first part is held in memory. */
const maxFirstBytes = 64 * mebibyte;
/** So few requests are soon done, with parts that are soon sent again. */
const fewParts = 1000;
const manyParts = 9000;

/** How an object is copied on the server: all parts of one size, as some servers demand, but for the last. */
export interface CopyPlan {
  /** Of the old object, in the first part, after what is put before it. */
  readonly firstBytes: number;
  readonly partBytes: number;
}

/** For `oldBytes` of another object after `headBytes` of new ones; null where copying is not worth its requests. */
export function copyPlan(headBytes: number, oldBytes: number): CopyPlan | null {
  if (oldBytes < 2 * firstPartBytes) return null;
  const inParts = (count: number) => Math.ceil((headBytes + oldBytes) / count / mebibyte) * mebibyte;
  const few = Math.max(inParts(fewParts), firstPartBytes);
  const partBytes = few <= maxFirstBytes ? few : Math.max(maxFirstBytes, inParts(manyParts));
  return { firstBytes: Math.min(partBytes, maxFirstBytes) - headBytes, partBytes };
}
