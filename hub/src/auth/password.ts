import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify(argon2);

interface Cost {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly parallelism: number;
}

/** OWASP's recommendation for argon2id. */
const cost: Cost = { memoryKiB: 19_456, passes: 2, parallelism: 1 };
const hashBytes = 32;

/** In the PHC string format: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derived(password, salt, cost, hashBytes);
  const { memoryKiB, passes, parallelism } = cost;
  return `$argon2id$v=19$m=${memoryKiB},t=${passes},p=${parallelism}$${unpadded(salt)}$${unpadded(hash)}`;
}

const phc = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

/** False for a wrong password; throws when the stored text is not of the format. */
export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const [, memory, passes, parallelism, salt, hash] = phc.exec(stored) ?? [];
  if (salt === undefined || hash === undefined) throw new Error('a stored password hash is not in the PHC format');
  const expected = Buffer.from(hash, 'base64');
  const of: Cost = { memoryKiB: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  const actual = await derived(password, Buffer.from(salt, 'base64'), of, expected.length);
  return timingSafeEqual(actual, expected);
}

/** Does the work of {@link verifyPassword} for an account that does not exist, so that the time taken does not tell. */
export async function verifyNothing(password: string): Promise<false> {
  await derived(password, Buffer.alloc(16), cost, hashBytes);
  return false;
}

function derived(password: string, nonce: Buffer, { memoryKiB, passes, parallelism }: Cost, tagLength: number) {
  // One form for each password, whatever keyboard it was typed on.
  const message = password.normalize('NFC');
  return derive('argon2id', { message, nonce, parallelism, tagLength, memory: memoryKiB, passes });
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
