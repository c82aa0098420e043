import { createPrivateKey } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import ssh2, { type AnyAuthMethod, type AuthHandlerMiddleware } from 'ssh2';

/** What a login is made with; at least one of password and private key. */
export interface SshCredentials {
  readonly password?: string | undefined;
  readonly private_key?: string | undefined;
  readonly passphrase?: string | undefined;
}

const passwordPrompt = /pass(word|code|phrase)|kennwort|contraseña|mot de passe/i;

/**
 * Offers what the secret holds, in the order key, password, keyboard-interactive, each once and only where the server takes
 * it. Throws SOURCE_KEY_INVALID. Never says anything of the secret in an error.
 */
export function authHandler(user: string, secret: SshCredentials): AuthHandlerMiddleware {
  const left = authMethods(user, secret);
  return (accepted, _partial, next) => {
    const at = left.findIndex(({ type }) => !Array.isArray(accepted) || accepted.includes(type));
    const [method] = at === -1 ? [] : left.splice(at, 1);
    // `false` ends the attempt; the type of ssh2 leaves it out.
    next(method ?? (false as unknown as AnyAuthMethod));
  };
}

function authMethods(username: string, secret: SshCredentials): AnyAuthMethod[] {
  const methods: AnyAuthMethod[] = [];
  const { password } = secret;
  if (secret.private_key !== undefined) {
    methods.push({ type: 'publickey', username, key: readPrivateKey(secret.private_key, secret.passphrase) });
  }
  if (password !== undefined) {
    methods.push({ type: 'password', username, password });
    methods.push({
      type: 'keyboard-interactive',
      username,
      prompt: (_name, _instructions, _lang, prompts, finish) => {
        finish(prompts.map(({ prompt, echo }) => (!echo && passwordPrompt.test(prompt) ? password : '')));
      },
    });
  }
  return methods;
}

function readPrivateKey(text: string, passphrase: string | undefined): ssh2.ParsedKey {
  for (const readable of [() => text, () => fromPkcs8(text, passphrase)]) {
    const parsed = parse(readable, passphrase);
    if (parsed?.isPrivateKey()) return parsed;
  }
  throw new XVaultError('SOURCE_KEY_INVALID', { detail: 'not a private key, or the passphrase does not open it' });
}

function parse(readable: () => string, passphrase: string | undefined): ssh2.ParsedKey | undefined {
  try {
    const parsed: unknown = ssh2.utils.parseKey(readable(), passphrase);
    const first: unknown = Array.isArray(parsed) ? parsed[0] : parsed;
    return first instanceof Error ? undefined : (first as ssh2.ParsedKey);
  } catch {
    // What it says may quote the key.
    return undefined;
  }
}

/** ssh2 reads no PKCS#8 (`BEGIN PRIVATE KEY`), which OpenSSL writes by default; the older forms hold the same key. */
function fromPkcs8(text: string, passphrase: string | undefined): string {
  const key = createPrivateKey({ key: text, format: 'pem', passphrase });
  const type = key.asymmetricKeyType === 'ec' ? 'sec1' : 'pkcs1';
  return key.export({ type, format: 'pem' }).toString();
}
