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
  tokensOf,
  valuesOf,
} from './http-head.ts';
import type { Lent, OriginPool } from './origin-pool.ts';
import { authorityOf, type Plan, plainLocation, type Route, roleOf } from './routes.ts';
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
    let { answer, wentOn } = await readAnswer(near, lent.wire);
    const isRepeatable = framing.kind === 'none' && repeatable.has(request.method);
    if (answer === null && lent.isUsed && isRepeatable && !near.socket.destroyed) {
      // It was being closed as the request came.
      lent = await to.pool.takeNew();
      sending = send(near, head, framing, lent.wire);
      ({ answer, wentOn } = await readAnswer(near, lent.wire));
    }
    if (answer === null) throw new CutOff('before an answer');
    return await passAnswer(near, answer, { lent, sending, wentOn, request, path, to });
  } catch (error) {
    dropFar();
    throw error;
  } finally {
    near.socket.off('close', dropFar);
  }
}

interface Sending {
  /** Whether the whole request is gone. */
  isDone: boolean;
  /** Settles when it is, or cannot be any more; a failure is the connection's, which is seen elsewhere as well. */
  readonly ended: Promise<unknown>;
}

function send(near: Wire, head: string, framing: Framing, { socket }: Wire): Sending {
  socket.cork();
  socket.write(head, 'latin1');
  const passing = near.pass(bodyOf(framing), socket);
  socket.uncork();
  const sending: { isDone: boolean; ended: Promise<unknown> } = { isDone: framing.kind === 'none', ended: passing };
  sending.ended = passing.then(
    () => {
      sending.isDone = true;
    },
    () => near.socket.destroy(),
  );
  return sending;
}

interface Heard {
  /** The one that counts, after those that only say to go on. Null when there is not a byte of one. */
  readonly answer: AnswerHead | null;
  /** Whether it said to go on. */
  readonly wentOn: boolean;
}

async function readAnswer(near: Wire, far: Wire): Promise<Heard> {
  let wentOn = false;
  for (let interim = 0; interim < maxInterim; interim += 1) {
    const head = await far.readHead();
    if (head === null) return { answer: null, wentOn };
    const answer = parseAnswer(head);
    if (answer.status >= 200) return { answer, wentOn };
    if (answer.status === 101) throw new BadMessage('another protocol');
    if (answer.status === 100) {
      wentOn = true;
      near.socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    }
  }
  throw new BadMessage('no end of interim answers');
}

interface Exchange {
  readonly lent: Lent;
  readonly sending: Sending;
  /** Whether rclone was told to go on. */
  readonly wentOn: boolean;
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
    to.onRefused(redirectRefused(answer, request, path, to.route), to.route);
    await refuse(near.socket, 'redirect', request.method);
    // What is still being sent goes nowhere; closing before it came would take the answer away from rclone.
    await sending.ended;
    return false;
  }
  const framing = framingOfAnswer(answer, request.method);
  if (framing.kind === 'until_close' && to.route.place.secure && isContent(answer, request)) {
    throw new BadMessage('an answer whose end nothing vouches for');
  }
  const isLast = isUnasked(answer, exchange);
  const sent = framed(fields, framing, answer);
  const body = framing.kind === 'until_close' ? new Chunking() : bodyOf(framing);
  near.socket.cork();
  near.socket.write(
    renderHead(`HTTP/1.1 ${answer.status} ${answer.reason}`, isLast ? [...sent, ['Connection', 'close']] : sent),
    'latin1',
  );
  const passing = far.pass(body, near.socket);
  near.socket.uncork();
  await passing;
  if (framing.kind === 'until_close') near.socket.write(lastChunk);
  if (isLast) {
    far.socket.destroy();
    near.socket.end();
  }
  // An answer may come before the whole request is gone, and rclone may still be sending.
  await sending.ended;
  if (isLast) return false;
  if (sending.isDone && answer.keepsOpen && framing.kind !== 'until_close') to.pool.give(far);
  else far.socket.destroy();
  return sending.isDone && !valuesOf(request.fields, 'connection').some((value) => /\bclose\b/i.test(value));
}

/**
 * Whether the rest of the request is wanted no more: it was not asked for, or nobody is there to take it. What comes next on the
 * same connection would be taken for it.
 */
function isUnasked(answer: AnswerHead, { sending, wentOn, request }: Exchange): boolean {
  if (sending.isDone) return false;
  return !answer.keepsOpen || (!wentOn && tokensOf(request.fields, 'expect').includes('100-continue'));
}

/** What is stored, where a part of it would be stored as if it were all. */
function isContent({ status }: AnswerHead, { method }: RequestHead): boolean {
  return method === 'GET' && status >= 200 && status < 300;
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

function redirectRefused(
  { status, fields }: AnswerHead,
  { method }: RequestHead,
  path: string,
  route: Route,
): XVaultError {
  const { place } = route;
  const [location = ''] = valuesOf(fields, 'location');
  const base = `${place.secure ? 'https' : 'http'}://${authorityOf(place)}`;
  // Its path and query may hold a signature.
  const where = URL.canParse(location, base) ? new URL(location, base).origin : 'an address that is none';
  const detail = `${base} answered ${method} with ${status} and sends on to ${where}`.slice(0, 500);
  return new XVaultError(
    roleOf(route, path) === 'destination' ? 'STORAGE_REDIRECT_REFUSED' : 'SOURCE_REDIRECT_REFUSED',
    { detail },
  );
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
