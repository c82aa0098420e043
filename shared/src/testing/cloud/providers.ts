import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { makeCertificate } from '../certificate.ts';
import { DropboxApi } from './dropbox.ts';
import { type ApiAnswer, type ApiRequest, DriveApi, driveError } from './google-drive.ts';
import { type Answer, OauthServer } from './oauth.ts';
import { ServiceAccounts } from './service-accounts.ts';

export const testClient = {
  clientId: 'a-client-of-the-test',
  clientSecret: 'secret-of-the-client-of-the-test',
  redirectUrl: 'https://platform.example.com/oauth/callback',
} as const;

/** Names by which rclone reaches the providers. */
export const providerHosts = [
  'www.googleapis.com',
  'oauth2.googleapis.com',
  'accounts.google.com',
  'api.dropboxapi.com',
  'content.dropboxapi.com',
  'www.dropbox.com',
] as const;

export interface TestProviders {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** The one authority that vouches for all of the providers' names. */
  readonly caPem: string;
  readonly google: OauthServer;
  /** Of Google. */
  readonly accounts: ServiceAccounts;
  readonly dropbox: OauthServer;
  readonly drive: DriveApi;
  readonly dropboxFiles: DropboxApi;
  /** `host path` of the API calls so far. */
  readonly calls: string[];
  /** What API calls are answered with before the real answer, one for each. */
  readonly refusals: ApiAnswer[];
  /** The next contents of more bytes than that end there, with the connection. */
  readonly cuts: number[];
  /** By this server's own address. */
  url(path: string): string;
  /** Signs in at the authorization address and consents; gives what the provider sends back. */
  consent(authorizeUrl: string): Promise<{ readonly code: string; readonly state: string }>;
  stop(): Promise<void>;
}

/**
 * A server that behaves as the documentation of Google's OAuth and Drive v3, and Dropbox's OAuth and API v2, says. It is no
 * proof that the providers do so.
 */
export async function startProviders(): Promise<TestProviders> {
  const folder = await mkdtemp(join(tmpdir(), 'xvault-providers-'));
  const certificate = await makeCertificate(folder, [...providerHosts, 'localhost', '127.0.0.1']);
  const accounts = new ServiceAccounts();
  const offline = { access_type: 'offline', prompt: 'consent' };
  const google = new OauthServer(testClient, { offline, extra: {}, accounts });
  const dropbox = new OauthServer(testClient, {
    offline: { token_access_type: 'offline' },
    extra: { account_id: 'dbid:AAAA', uid: '12345' },
  });
  const [drive, dropboxFiles] = [new DriveApi(), new DropboxApi()];
  const calls: string[] = [];
  const refusals: ApiAnswer[] = [];
  const cuts: number[] = [];

  const answer = (request: ApiRequest): Answer | ApiAnswer => {
    const { path, query, headers, body } = request;
    if (path === '/o/oauth2/v2/auth') return google.authorize(query);
    if (path === '/oauth2/authorize') return dropbox.authorize(query);
    const endpoint = `https://${headers.host}${path}`;
    if (path === '/token') return google.token(new URLSearchParams(body.toString()), endpoint);
    if (path === '/oauth2/token') return dropbox.token(new URLSearchParams(body.toString()), endpoint);
    const isDrive = path.startsWith('/drive/');
    const bearer = /^Bearer (.+)$/.exec(String(headers.authorization ?? ''))?.[1] ?? '';
    if (!(isDrive ? google : dropbox).isGood(bearer)) {
      if (isDrive) return driveError(401, 'authError', 'Invalid Credentials');
      return {
        status: 401,
        json: { error_summary: 'expired_access_token/', error: { '.tag': 'expired_access_token' } },
      };
    }
    calls.push(`${headers.host} ${path}`);
    return refusals.shift() ?? (isDrive ? drive.answer(request) : dropboxFiles.answer(request));
  };
  const [key, cert] = await Promise.all([readFile(certificate.keyFile), readFile(certificate.certFile)]);
  const server = createServer({ key, cert }, (request, response) => {
    void serve(request, response, answer, cuts).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening server has no port');
  const { port } = address;
  return {
    host: '127.0.0.1',
    port,
    caPem: certificate.certPem,
    google,
    accounts,
    dropbox,
    drive,
    dropboxFiles,
    calls,
    refusals,
    cuts,
    url: (path) => `https://localhost:${port}${path}`,
    async consent(authorizeUrl) {
      const response = await fetch(authorizeUrl, { redirect: 'manual' });
      const location = response.headers.get('location');
      if (response.status !== 302 || location === null) throw new Error(`no consent: ${await response.text()}`);
      const { searchParams } = new URL(location);
      return { code: searchParams.get('code') ?? '', state: searchParams.get('state') ?? '' };
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  answer: (request: ApiRequest) => Answer | ApiAnswer,
  cuts: number[],
): Promise<void> {
  const { pathname: path, searchParams: query } = new URL(request.url ?? '', 'https://localhost');
  const { method = 'GET', headers } = request;
  const given = answer({ method, path, query, headers, body: await buffer(request) });
  if ('redirect' in given) return void response.writeHead(302, { location: given.redirect }).end();
  const { 'x-without-length': unmeasured, ...more } = given.headers ?? {};
  if ('bytes' in given) {
    const length = unmeasured === undefined ? { 'content-length': given.bytes.length } : {};
    response.writeHead(given.status, { 'content-type': 'application/octet-stream', ...length, ...more });
    const [cut] = cuts;
    if (cut !== undefined && given.bytes.length > cut) {
      cuts.shift();
      return void response.write(given.bytes.subarray(0, cut), () => response.destroy());
    }
    // In two writes, so that the length is not known to the client where it is not told.
    response.write(given.bytes.subarray(0, 1));
    return void response.end(given.bytes.subarray(1));
  }
  const body = JSON.stringify('json' in given ? given.json : given.body);
  response.writeHead(given.status, { 'content-type': 'application/json', ...more }).end(body);
}
