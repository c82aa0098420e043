import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { XVaultError } from '@xvault/shared/errors.ts';
import { FTPError } from 'basic-ftp';
import { connectError, isRefusal, saidBy, tlsError } from '../../../connectors/ftp/errors.ts';
import { wireText } from '../../../connectors/ftp/login.ts';
import { type ConnectionSettings, ftpPort } from '../../../connectors/ftp/settings.ts';
import { encryptControl, tlsOptionsOf } from '../../../connectors/ftp/tls.ts';
import { FtpControl } from './ftp-control.ts';

export interface FtpServer extends ConnectionSettings {
  /** Whose certificates count. */
  readonly trust: SecureContext;
}

export interface LoggedIn {
  readonly control: FtpControl;
  /** The checked address that it goes to. */
  readonly address: string;
}

/** Said of a login that is right, by servers that let so many in and no more. */
const tooMany =
  /too many|(?:max(?:imum)?|limit)\b.*(?:clients|connections|users|logins|sessions)|(?:connections?|logins?|sessions?) limit/i;

/**
 * Dials a server through the guard and logs in, with its data connections encrypted where the config says so. Throws SOURCE_…
 * errors, or the signal's reason.
 */
export async function logInToFtp(settings: FtpServer, signal: AbortSignal): Promise<LoggedIn> {
  const { guard, config, timeouts } = settings;
  const limit = AbortSignal.timeout(timeouts.loginMs);
  const stop = AbortSignal.any([signal, limit]);
  let plain: Socket | undefined;
  const close = () => plain?.destroy();
  stop.addEventListener('abort', close, { once: true });
  try {
    plain = await guard.dial(config.host, ftpPort(config), { timeoutMs: timeouts.connectMs, signal: stop });
    const address = plain.remoteAddress ?? config.host;
    const control = await greet(plain, settings, stop);
    await signIn(control, settings);
    if (config.tls !== 'none') await protectData(control);
    stop.throwIfAborted();
    return { control, address };
  } catch (error) {
    plain?.destroy();
    signal.throwIfAborted();
    if (limit.aborted)
      throw new XVaultError('SOURCE_TIMEOUT', { detail: `logging in to ${config.host} took too long` });
    throw connectError(error, `logging in to ${config.host}`);
  } finally {
    stop.removeEventListener('abort', close);
  }
}

async function greet(plain: Socket, settings: FtpServer, stop: AbortSignal): Promise<FtpControl> {
  const { tls } = settings.config;
  if (tls === 'implicit') {
    const control = await encrypted(plain, settings, stop);
    await greeting(control);
    return control;
  }
  const control = new FtpControl(plain, settings.timeouts.stallMs);
  await greeting(control);
  if (tls === 'none') return control;
  await startTls(control);
  return encrypted(control.release(), settings, stop);
}

async function encrypted(plain: Socket, { config, timeouts, trust }: FtpServer, stop: AbortSignal) {
  const options = tlsOptionsOf(config, trust);
  let session: Buffer | undefined;
  let control: FtpControl | undefined;
  const keep = (next: Buffer) => {
    if (control === undefined) session = next;
    else control.tlsSessionStore = next;
  };
  control = new FtpControl(await encryptControl(plain, options, keep, stop), timeouts.stallMs);
  control.tlsOptions = options;
  control.tlsSessionStore = session;
  return control;
}

async function greeting(control: FtpControl): Promise<void> {
  const said = await control.request(null);
  if (said.code >= 300) throw new FTPError(said);
}

async function startTls(control: FtpControl): Promise<void> {
  try {
    const said = await control.request('AUTH TLS');
    if (said.code >= 300) throw new FTPError(said);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const detail = `the server does not take TLS: ${saidBy(error)}`;
    throw new XVaultError('SOURCE_TLS_FAILED', { detail, cause: error });
  }
}

async function signIn(control: FtpControl, { config, secret }: ConnectionSettings): Promise<void> {
  const [user, password] = [wireText(config.user, config), wireText(secret.password, config)];
  try {
    const asked = await control.request(`USER ${user}`);
    const said = asked.code === 331 ? await control.request(`PASS ${password}`) : asked;
    // 332: an account is wanted beside it.
    if (said.code >= 300) throw new FTPError(said);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const isFull = tooMany.test(error.message);
    const detail = `the server answered ${error.code}`;
    throw new XVaultError(isFull ? 'SOURCE_CONNECTION_REFUSED' : 'SOURCE_AUTH_FAILED', { detail, cause: error });
  }
}

/** File contents must not go readable over a connection that is taken for encrypted. */
async function protectData(control: FtpControl): Promise<void> {
  try {
    await control.request('PBSZ 0');
    await control.request('PROT P');
  } catch (error) {
    throw isRefusal(error) ? tlsError(new Error(`data connections stay readable: ${saidBy(error)}`)) : error;
  }
}
