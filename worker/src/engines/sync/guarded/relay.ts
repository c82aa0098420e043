import type { Duplex } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import { bodyOf, Chunking, type Framing, framingOfAnswer, framingOfRequest, lastChunk } from './http-body.ts';
import {
  type AnswerHead,
  BadMessage,
  endToEnd,
  type Field,
  parseAnswer,
  type RequestHead,
  renderHead,
  valuesOf,
} from './http-head.ts';
import type { Lent, OriginPool } from './origin-pool.ts';
import { authorityOf, type Plan, plainLocation, type Route } from './routes.ts';
import { CutOff, type Wire } from './wire.ts';

const maxInterim = 10;
/** Asking twice is as asking once. */
const repeatable = new Set(['GET', 'HEAD', 'OPTIONS', 'PROPFIND']);

/** A server whose requests and answers are relayed. */
export interface Relayed {
  readonly plan: Plan;
  readonly route: Route;
  readonly pool: OriginPool;
  /** Told of an answer that is kept from rclone. */
  readonly onRefused: (error: XVaultError, route: Route) => void;
}

/**
 * Sends one request on and its answer back. Bodies pass as bytes; heads are read, and written anew. Resolves to whether the
 * connection can carry another request. Throws what dialling throws, CutOff, BadMessage: then `near` is to be closed at once, so
 * that rclone never takes a broken answer for a whole one.
 */
export async function relay(near: Wire, request: RequestHead, path: string, to: Relayed): Promise<boolean> {
  const framing = framingOfRequest(request);
  const head = renderHead(`${request.method} ${path} HTTP/1.1`, fieldsToServer(request.fields, framing, to.route));
  let lent = await to.pool.take();
  if (near.socket.destroyed) {
    to.pool.give(lent.wire);
    throw new CutOff('before a request was sent on');
  }
  const dropFar = () => lent.wire.socket.destroy();
  near.socket.once('close', dropFar);
  try {
    let sending = send(near, head, framing, lent.wire);
    let answer = await readAnswer(near, lent.wire);
    const isRepeatable = framing.kind === 'none' && repeatable.has(request.method);
    if (answer === null && lent.isUsed && isRepeatable && !near.socket.destroyed) {
      // It was being closed as the request came.
      lent = await to.pool.takeNew();
      sending = send(near, head, framing, lent.wire);
      answer = await readAnswer(near, lent.wire);
    }
    if (answer === null) throw new CutOff('before an answer');
    return await passAnswer(near, answer, { lent, sending, request, path, to });
  } catch (error) {
    dropFar();
    throw error;
  } finally {
    near.socket.off('close', dropFar);
  }
}

/** Settles when the whole request is gone; its failure is the connection's, which is seen elsewhere as well. */
function send(near: Wire, head: string, framing: Framing, { socket }: Wire): Promise<boolean> {
  socket.cork();
  socket.write(head, 'latin1');
  const passing = near.pass(bodyOf(framing), socket);
  socket.uncork();
  return passing.then(
    () => true,
    () => {
      near.socket.destroy();
      return false;
    },
  );
}

/** The answer that counts, after those that only say to go on. Null when there is not a byte of one. */
async function readAnswer(near: Wire, far: Wire): Promise<AnswerHead | null> {
  for (let interim = 0; interim < maxInterim; interim += 1) {
    const head = await far.readHead();
    if (head === null) return null;
    const answer = parseAnswer(head);
    if (answer.status >= 200) return answer;
    if (answer.status === 101) throw new BadMessage('another protocol');
    if (answer.status === 100) near.socket.write('HTTP/1.1 100 Continue\r\n\r\n');
  }
  throw new BadMessage('no end of interim answers');
}

interface Exchange {
  readonly lent: Lent;
  readonly sending: Promise<boolean>;
  readonly request: RequestHead;
  readonly path: string;
  readonly to: Relayed;
}

async function passAnswer(near: Wire, answer: AnswerHead, exchange: Exchange): Promise<boolean> {
  const { lent, sending, request, path, to } = exchange;
  const far = lent.wire;
  const fields = withPlainLocation(answer, path, to);
  if (fields === null) {
    far.socket.destroy();
    to.onRefused(redirectRefused(answer, request, to.route), to.route);
    await refuse(near.socket, 'redirect', request.method);
    // What is still being sent goes nowhere; closing before it came would take the answer away from rclone.
    await sending;
    return false;
  }
  const framing = framingOfAnswer(answer, request.method);
  const body = framing.kind === 'until_close' ? new Chunking() : bodyOf(framing);
  near.socket.cork();
  near.socket.write(
    renderHead(`HTTP/1.1 ${answer.status} ${answer.reason}`, framed(fields, framing, answer)),
    'latin1',
  );
  const passing = far.pass(body, near.socket);
  near.socket.uncork();
  await passing;
  if (framing.kind === 'until_close') near.socket.write(lastChunk);
  // An answer may come before the whole request is gone.
  const isSent = await sending;
  if (isSent && answer.keepsOpen && framing.kind !== 'until_close') to.pool.give(far);
  else far.socket.destroy();
  return isSent && !valuesOf(request.fields, 'connection').some((value) => /\bclose\b/i.test(value));
}

function fieldsToServer(fields: readonly Field[], framing: Framing, { plain, place, sentHost }: Route): Field[] {
  const scheme = place.secure ? 'https' : 'http';
  const sent = endToEnd(fields).map(([name, value]): Field => {
    switch (name.toLowerCase()) {
      case 'host':
        return [name, sentHost ?? value];
      case 'destination':
      case 'referer':
        // Servers compare these with what they call themselves.
        return [name, withOrigin(value, `http://${plain}`, `${scheme}://${authorityOf(place)}`)];
      default:
        return [name, value];
    }
  });
  return framing.kind === 'chunked' ? [...sent, ['Transfer-Encoding', 'chunked']] : sent;
}

function withOrigin(url: string, from: string, to: string): string {
  return url === from || url.startsWith(`${from}/`) ? `${to}${url.slice(from.length)}` : url;
}

/** Null where the answer leads to another server. */
function withPlainLocation(answer: AnswerHead, path: string, { plan, route }: Relayed): Field[] | null {
  const fields = endToEnd(answer.fields);
  const places = valuesOf(fields, 'location');
  const [location] = places;
  if (location === undefined) return fields;
  const plain = places.length > 1 ? null : plainLocation(plan, route, path, location);
  const isRedirect = answer.status >= 300 && answer.status < 400;
  if (plain === null && isRedirect) return null;
  return fields.flatMap(([name, value]): Field[] => {
    if (name.toLowerCase() !== 'location') return [[name, value]];
    return plain === null ? [] : [[name, plain]];
  });
}

/** With one length, and that of what is really sent. */
function framed(fields: readonly Field[], framing: Framing, { status }: AnswerHead): Field[] {
  const isLength = ([name]: Field) => name.toLowerCase() === 'content-length';
  const others = fields.filter((field) => !isLength(field));
  switch (framing.kind) {
    case 'length':
      return [...others, ['Content-Length', String(framing.bytes)]];
    case 'chunked':
    case 'until_close':
      return [...others, ['Transfer-Encoding', 'chunked']];
    case 'none':
      // Of what HEAD did not send.
      return status === 204 ? others : [...others, ...fields.filter(isLength).slice(0, 1)];
  }
}

function redirectRefused({ status, fields }: AnswerHead, { method }: RequestHead, { place, role }: Route): XVaultError {
  const [location = ''] = valuesOf(fields, 'location');
  const base = `${place.secure ? 'https' : 'http'}://${authorityOf(place)}`;
  // Its path and query may hold a signature.
  const where = URL.canParse(location, base) ? new URL(location, base).origin : 'an address that is none';
  const detail = `${base} answered ${method} with ${status} and sends on to ${where}`.slice(0, 500);
  return new XVaultError(role === 'destination' ? 'STORAGE_REDIRECT_REFUSED' : 'SOURCE_REDIRECT_REFUSED', { detail });
}

/** An answer of the proxy's own that rclone does not ask for again; in the form of S3, which WebDAV reads as words. */
export async function refuse(socket: Duplex, what: 'redirect' | 'address', method: string): Promise<void> {
  const words = `xVault refused the ${what}`;
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>XVaultRefused</Code><Message>${words}</Message></Error>`;
  const fields: Field[] = [
    ['Content-Type', 'application/xml'],
    ['Content-Length', String(body.length)],
    ['Connection', 'close'],
  ];
  const head = renderHead(`HTTP/1.1 421 ${words}`, fields);
  await new Promise<void>((resolve) => {
    socket.once('close', resolve);
    socket.end(method === 'HEAD' ? head : `${head}${body}`, 'latin1', resolve);
  });
}
