import { isIPv6 } from 'node:net';
import { cidrContains, parseAddress, parseCidr, unmapAddress } from '../../../net/address.ts';
import type { WebServer } from '../remotes/web.ts';
import type { Place } from './dial-origin.ts';

export type Role = 'source' | 'destination' | 'target';

/** What rclone asks for by a plain name, and the server that is meant. */
export interface Route {
  /** What rclone calls it: `host` or `host:port`. */
  readonly plain: string;
  readonly place: Place;
  /** The `Host` that the server is told; null is what rclone says. */
  readonly sentHost: string | null;
  /** What it was made for; more than one where two ends of the run are at one server. */
  readonly ends: readonly RouteEnd[];
  /** The same for all names of one server. */
  readonly family: string;
}

export interface RouteEnd {
  readonly role: Role;
  /** Below which it asks, without a slash at its end. */
  readonly path: string;
  readonly caPem: string | null;
}

export interface WebEnd {
  readonly role: Role;
  readonly server: WebServer;
}

export interface Plan {
  /** By host and port. */
  readonly routes: ReadonlyMap<string, Route>;
  /** What rclone is given instead of each end's URL. */
  readonly urls: ReadonlyMap<Role, string>;
}

/**
 * Gives each server a plain name. Mostly its own, for it is told and sometimes signed; made up where rclone would not use a proxy,
 * or where two servers differ in less than a plain name can say. `direct`: what it is told to use none for.
 */
export function planRoutes(ends: readonly WebEnd[], direct: readonly Place[] = []): Plan {
  const routes = new Map<string, Route & { readonly ends: RouteEnd[] }>();
  const urls = new Map<Role, string>();
  for (const { role, server } of ends) {
    const url = new URL(server.url);
    const place = placeOf(url);
    const madeUp = `${role}.xvault.invalid`;
    const isFree = (name: string) =>
      !direct.some((other) => isWithin(placeOf(new URL(`http://${name}`)), other)) &&
      fits(routes.get(keyOf(name)), place, server.signsHost);
    const plain = ownNames(place).find(isFree) ?? madeUp;
    const sentHost = plain === madeUp && !server.signsHost ? authorityOf(place) : null;
    const family = `${place.secure} ${place.host} ${place.port}`;
    const end = {
      role,
      path: `${url.pathname}${server.path ?? ''}`.replace(/\/+/g, '/').replace(/\/$/, ''),
      caPem: server.caPem,
    };
    const add = (name: string, at: Place) => {
      const known = routes.get(keyOf(name));
      if (known === undefined) routes.set(keyOf(name), { plain: name, place: at, sentHost, ends: [end], family });
      else known.ends.push(end);
    };
    add(plain, place);
    if (server.label !== null) {
      // Below an address there are no names.
      const host = plain === madeUp ? place.host : `${server.label}.${place.host}`;
      add(`${server.label}.${plain}`, { ...place, host });
    }
    urls.set(role, `http://${plain}${url.pathname === '/' ? '' : url.pathname}${url.search}`);
  }
  return { routes, urls };
}

/** Which end asks for this. */
export function roleOf({ ends }: Route, path: string): Role {
  const asked = path.replace(/[?#].*$/s, '');
  const isBelow = ({ path: own }: RouteEnd) => asked === own || asked.startsWith(`${own}/`);
  return (ends.find(isBelow) ?? ends[0])?.role ?? 'source';
}

/** The route of `host` or `host:port` as rclone asks for it. */
export function routeOf({ routes }: Plan, authority: string): Route | undefined {
  return routes.get(keyOf(authority));
}

/**
 * Where an answer sends on to, by its plain name; null where that is another server. What is returned is written anew, so that
 * nobody can read it as something else.
 */
export function plainLocation(plan: Plan, route: Route, path: string, location: string): string | null {
  // Headers are bytes, and what is not ASCII in them is UTF-8 today.
  const text = Buffer.from(location, 'latin1').toString();
  const base = `${route.place.secure ? 'https' : 'http'}://${authorityOf(route.place)}${path}`;
  if (!URL.canParse(text, base)) return null;
  const to = new URL(text, base);
  if (to.protocol !== 'http:' && to.protocol !== 'https:') return null;
  for (const other of plan.routes.values()) {
    if (other.family === route.family && isSame(to, other)) return `http://${other.plain}${to.pathname}${to.search}`;
  }
  return null;
}

/** A server behind one that speaks TLS for it often calls itself `http`, and may call itself what it was asked for. */
function isSame(to: URL, { place, plain }: Route): boolean {
  const there = placeOf(to);
  const own = placeOf(new URL(`http://${plain}`));
  if (there.host === own.host && own.host !== place.host) return true;
  if (there.host !== place.host) return false;
  return there.port === place.port || (place.secure && !there.secure && there.port === 80);
}

/** `https` without its port becomes `http` without one, so that the server is told the same name. */
function ownNames(place: Place): string[] {
  if (goesAroundProxies(place.host)) return [];
  const host = bracketed(place.host);
  const isUsual = place.port === (place.secure ? 443 : 80);
  return isUsual ? [host, hostAndPort(place)] : [hostAndPort(place)];
}

function fits(route: Route | undefined, place: Place, signsHost: boolean): boolean {
  if (route === undefined) return true;
  const { secure, host, port } = route.place;
  const isAsSent = route.sentHost === null || !signsHost;
  return isAsSent && secure === place.secure && host === place.host && port === place.port;
}

/** As rclone judges whether it uses no proxy: names below one are meant too. */
function isWithin(place: Place, { host, port }: Place): boolean {
  return place.port === port && (place.host === host || place.host.endsWith(`.${host}`));
}

const loopback = ['127.0.0.0/8', '::1/128'].map(parseCidr);

/** rclone uses no proxy for the loopback interface. Source: golang.org/x/net/http/httpproxy. */
function goesAroundProxies(host: string): boolean {
  const parsed = parseAddress(host);
  if (parsed !== undefined) return loopback.some((range) => cidrContains(range, unmapAddress(parsed)));
  return /(^|\.)localhost\.?$/.test(host);
}

export function placeOf({ protocol, hostname, port }: URL): Place {
  const secure = protocol === 'https:';
  return { secure, host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || (secure ? 443 : 80)) };
}

export function authorityOf({ secure, host, port }: Place): string {
  return port === (secure ? 443 : 80) ? bracketed(host) : `${bracketed(host)}:${port}`;
}

export function hostAndPort({ host, port }: Place): string {
  return `${bracketed(host)}:${port}`;
}

function bracketed(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}

/** Host and port, always both. */
function keyOf(authority: string): string {
  const small = authority.toLowerCase();
  return /:\d+$/.test(small.replace(/^\[.*\]/, '')) ? small : `${small}:80`;
}
