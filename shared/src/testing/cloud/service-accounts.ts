import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, verify } from 'node:crypto';
import { z } from 'zod';

export const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const scope = 'https://www.googleapis.com/auth/drive.readonly';
const longestSeconds = 3600;
const skewSeconds = 300;

const head = z.strictObject({ alg: z.literal('RS256'), typ: z.literal('JWT'), kid: z.string().optional() });
const claims = z.looseObject({
  iss: z.string(),
  scope: z.string(),
  aud: z.string(),
  iat: z.int(),
  exp: z.int(),
});

/** A key file as Google gives it, with addresses that lead where the test says. */
export interface ServiceAccountFile {
  readonly email: string;
  readonly json: string;
}

/**
 * Accounts that sign in by a signed assertion. Source: RFC 7523, Google's "Using OAuth 2.0 for Server to Server Applications".
 */
export class ServiceAccounts {
  /** Public keys by account and id. */
  readonly #keys = new Map<string, ReadonlyMap<string, KeyObject>>();
  /** How often an assertion was taken. */
  granted = 0;

  /** A new account with one key; `more` stands in the file beside, or in place of, what Google puts there. */
  create(more: Readonly<Record<string, unknown>> = {}): ServiceAccountFile {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const email = `backup-${randomBytes(6).toString('hex')}@a-project.iam.gserviceaccount.com`;
    const id = randomBytes(20).toString('hex');
    this.#keys.set(email, new Map([[id, createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }))]]));
    const file = {
      type: 'service_account',
      project_id: 'a-project',
      private_key_id: id,
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      client_email: email,
      client_id: '104857600000000000000',
      auth_uri: 'https://accounts.google.com/o/oauth2/auth',
      token_uri: 'https://oauth2.googleapis.com/token',
      auth_provider_x509_cert_url: 'https://www.googleapis.com/oauth2/v1/certs',
      client_x509_cert_url: `https://www.googleapis.com/robot/v1/metadata/x509/${encodeURIComponent(email)}`,
      universe_domain: 'googleapis.com',
      ...more,
    };
    return { email, json: JSON.stringify(file, null, 2) };
  }

  /** The owner deletes the account's keys. */
  revoke(email: string): void {
    this.#keys.set(email, new Map());
  }

  /** The error that an assertion is refused with; null for a good one. `endpoint` is the address that was asked. */
  refusal(assertion: string, endpoint: string): string | null {
    const [first = '', second = '', signature = ''] = assertion.split('.');
    const parsed = { head: head.safeParse(fromBase64(first)), claims: claims.safeParse(fromBase64(second)) };
    if (!parsed.head.success || !parsed.claims.success) return 'invalid_request';
    const { iss, scope: asked, aud, iat, exp } = parsed.claims.data;
    const keys = this.#keys.get(iss);
    const { kid } = parsed.head.data;
    const candidates = kid === undefined ? [...(keys?.values() ?? [])] : [keys?.get(kid)];
    const signed = Buffer.from(`${first}.${second}`);
    const isSigned = candidates.some(
      (key) => key !== undefined && verify('sha256', signed, key, Buffer.from(signature, 'base64url')),
    );
    if (!isSigned) return 'invalid_grant';
    const now = Date.now() / 1000;
    if (aud !== endpoint || exp < now || iat > now + skewSeconds || exp - iat > longestSeconds) return 'invalid_grant';
    if (asked !== scope) return 'invalid_scope';
    this.granted += 1;
    return null;
  }
}

function fromBase64(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    // No JSON is no assertion: the schema says so.
    return undefined;
  }
}
