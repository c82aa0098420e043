import { createHmac, hkdfSync } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import { Decrypter, Encrypter, type Recipient, type Stanza } from 'age-encryption';
import type { FileReader } from '../storage/storage.ts';
import { maxAgeHeaderBytes } from './age-format.ts';

const intro = Buffer.from('age-encryption.org/v1\n');
const macStart = Buffer.from('\n--- ');
const firstReadBytes = 4096;

/** The textual header at the start of an age file, its MAC line included. */
export async function readAgeHeader(file: FileReader): Promise<Buffer> {
  for (let length = firstReadBytes; ; length *= 4) {
    const available = Math.min(length, file.sizeBytes);
    const start = await file.read(0, available);
    const seen = Math.min(intro.length, start.length);
    if (!start.subarray(0, seen).equals(intro.subarray(0, seen))) throw corrupt('this is not an age file');
    const mac = start.indexOf(macStart);
    const end = mac < 0 ? -1 : start.indexOf(0x0a, mac + macStart.length);
    if (end >= 0) return start.subarray(0, end + 1);
    if (available === file.sizeBytes)
      throw new XVaultError('ARTIFACT_TRUNCATED', { detail: 'the age header ends early' });
    if (length >= maxAgeHeaderBytes) throw corrupt('the age header does not end');
  }
}

/** The file key; throws IDENTITY_MISMATCH when no identity fits, ARTIFACT_CORRUPT when the header is damaged. */
export async function openAgeHeader(header: Buffer, identities: readonly string[]): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  let matched = false;
  try {
    for (const identity of identities) decrypter.addIdentity(identity);
  } catch {
    // The parser's own words may quote the key.
    throw new XVaultError('IDENTITY_MISMATCH', { detail: 'an identity is not a valid age identity' });
  }
  // Asked last, that is when no identity before it fitted.
  decrypter.addIdentity({
    unwrapFileKey: () => {
      matched = false;
      return null;
    },
  });
  try {
    matched = true;
    return await decrypter.decryptHeader(header);
  } catch (cause) {
    if (!matched) throw new XVaultError('IDENTITY_MISMATCH', { detail: 'no identity fits the age header', cause });
    throw corrupt('the age header is damaged', cause);
  }
}

/** A header that gives a file key to these recipients. Throws when one is not a valid age recipient. */
export async function encodeAgeHeader(fileKey: Uint8Array, recipients: readonly string[]): Promise<Buffer> {
  if (recipients.length === 0) throw new Error('an age file needs a recipient');
  const stanzas: Stanza[] = [];
  for (const recipient of recipients) stanzas.push(...(await recipientOf(recipient).wrapFileKey(fileKey)));
  const lines = stanzas.map(({ args, body }) => `-> ${args.join(' ')}\n${bodyLines(body)}`);
  const signed = `${intro.toString()}${lines.join('')}---`;
  const macKey = Buffer.from(hkdfSync('sha256', fileKey, Buffer.alloc(0), 'header', 32));
  const mac = createHmac('sha256', macKey).update(signed).digest();
  const header = Buffer.from(`${signed} ${unpadded(mac)}\n`);
  if (header.length > maxAgeHeaderBytes) throw new Error('too many recipients for an age header');
  return header;
}

/** 64 columns of base64; a last line that is full is followed by an empty one. */
function bodyLines(body: Uint8Array): string {
  const text = unpadded(body);
  let lines = '';
  for (let at = 0; at <= text.length; at += 64) lines += `${text.slice(at, at + 64)}\n`;
  return lines;
}

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replaceAll('=', '');
}

/** What the library makes of a recipient's text: it offers no other way to wrap a file key that is there already. */
function recipientOf(text: string): Recipient {
  const encrypter = new Encrypter();
  encrypter.addRecipient(text);
  const made: unknown = Reflect.get(encrypter, 'recipients');
  const recipient: unknown = Array.isArray(made) ? made[0] : undefined;
  if (!isRecipient(recipient)) throw new Error('age-encryption keeps its recipients in another way than known');
  return recipient;
}

function isRecipient(value: unknown): value is Recipient {
  return (
    typeof value === 'object' && value !== null && 'wrapFileKey' in value && typeof value.wrapFileKey === 'function'
  );
}

function corrupt(detail: string, cause?: unknown): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail, cause });
}
