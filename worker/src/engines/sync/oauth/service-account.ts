import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import { parseServiceAccount, type ServiceAccountKey } from '@xvault/shared/source-kinds/service-account.ts';
import { postForm } from './post-form.ts';
import { grantedAnswer, refusalOf } from './token-answers.ts';

/** Reading is all that a backup may do to a customer's drive. */
const scope = 'https://www.googleapis.com/auth/drive.readonly';
const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const skewSeconds = 10;
const lifeSeconds = 300;

export interface ServiceAccount extends ServiceAccountKey {
  readonly key: KeyObject;
}

/** Throws SOURCE_KEY_INVALID. */
export function readServiceAccount(json: string): ServiceAccount {
  const account = parseServiceAccount(json);
  if (account === null) throw new XVaultError('SOURCE_KEY_INVALID', { detail: 'no key file of a service account' });
  try {
    const key = createPrivateKey(account.private_key);
    if (key.asymmetricKeyType === 'rsa') return { ...account, key };
  } catch {
    // Told below; the error might quote the key.
  }
  throw new XVaultError('SOURCE_KEY_INVALID', { detail: 'the private key of the service account is no RSA key' });
}

/**
 * What rclone is given of it: the fields that it needs to sign, with the platform's token endpoint in place of whatever stood
 * there.
 */
export function serviceAccountJson({ client_email, private_key_id, key }: ServiceAccount, tokenUrl: string): string {
  return JSON.stringify({
    type: 'service_account',
    client_email,
    private_key_id,
    private_key: key.export({ type: 'pkcs8', format: 'pem' }),
    token_uri: tokenUrl,
  });
}

/**
 * Signs in once, for what the provider says of a key is said badly by rclone. Throws SOURCE_AUTH_FAILED when it does not take the
 * key, SOURCE_RATE_LIMITED, SOURCE_UNREACHABLE. Source: RFC 7523, Google's "Using OAuth 2.0 for Server to Server Applications".
 */
export async function tryServiceAccount(account: ServiceAccount, tokenUrl: string, signal: AbortSignal): Promise<void> {
  const form = new URLSearchParams({ grant_type: jwtBearer, assertion: assertion(account, tokenUrl) });
  const { status, answer } = await postForm(tokenUrl, form, signal);
  if (status === 200 && grantedAnswer.safeParse(answer).success) return;
  const refusal = refusalOf(answer);
  const detail = `the provider refused the service account: ${refusal ?? `status ${status}`}`;
  throw new XVaultError(refusal === null ? 'SOURCE_UNREACHABLE' : 'SOURCE_AUTH_FAILED', { detail });
}

function assertion({ client_email: iss, private_key_id: kid, key }: ServiceAccount, aud: string): string {
  const iat = Math.floor(Date.now() / 1000) - skewSeconds;
  const head = { alg: 'RS256', typ: 'JWT', ...(kid !== undefined && { kid }) };
  const claims = { iss, scope, aud, iat, exp: iat + skewSeconds + lifeSeconds };
  const signed = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
}
