import { describe, expect, it } from 'vitest';
import type { WebServer } from '../remotes/web.ts';
import { plainLocation, planRoutes, type Role, roleOf, routeOf } from './routes.ts';

function end(role: Role, url: string, more: Partial<WebServer> = {}) {
  const server: WebServer = {
    kind: 'server',
    url,
    option: 'url',
    label: null,
    signsHost: false,
    caPem: null,
    ...more,
  };
  return { role, server };
}

describe('the plain name of a server', () => {
  it.each([
    ['https://files.example', 'http://files.example', 'files.example', 443],
    ['https://files.example/dav/a%20b', 'http://files.example/dav/a%20b', 'files.example:80', 443],
    ['HTTPS://Files.Example:443/', 'http://files.example', 'FILES.example', 443],
    ['https://files.example:8443/', 'http://files.example:8443', 'files.example:8443', 8443],
    ['http://files.example/', 'http://files.example', 'files.example', 80],
    ['https:/:x@files.example\\a/../b c', 'http://files.example/b%20c', 'files.example', 443],
    ['http://files.example:9000', 'http://files.example:9000', 'files.example:9000', 9000],
    ['https://[2001:db8::1]/', 'http://[2001:db8::1]', '[2001:db8::1]', 443],
    ['https://[2001:db8::1]:8443/', 'http://[2001:db8::1]:8443', '[2001:db8::1]:8443', 8443],
  ])('%s', (url, plain, authority, port) => {
    const plan = planRoutes([end('source', url, { signsHost: true })]);
    expect(plan.urls.get('source')).toBe(plain);
    const route = routeOf(plan, authority);
    expect(route?.place).toMatchObject({ secure: url.toLowerCase().startsWith('https'), port });
    expect(route?.sentHost).toBeNull();
    expect(routeOf(plan, 'files.example:81')).toBeUndefined();
  });

  it.each([
    'http://127.0.0.1:9000/dav',
    'https://127.7.7.7:9000/dav',
    'http://0x7f.1:9000/dav',
    'http://2130706433:9000/dav',
    'http://localhost:9000/dav',
    'http://LOCALHOST.:9000/dav',
    'http://[::1]:9000/dav',
    'http://[::ffff:127.0.0.1]:9000/dav',
  ])('is made up where rclone would go around the proxy: %s', (url) => {
    const plan = planRoutes([end('source', url)]);
    expect(plan.urls.get('source')).toBe('http://source.xvault.invalid/dav');
    expect(routeOf(plan, 'source.xvault.invalid')?.sentHost).toBe(new URL(url).host);
    const signed = planRoutes([end('source', url, { signsHost: true })]);
    expect(routeOf(signed, 'source.xvault.invalid')?.sentHost).toBeNull();
  });

  it('is another one for another server', () => {
    const url = (plan: ReturnType<typeof planRoutes>) => [plan.urls.get('source'), plan.urls.get('target')];
    const both = (source: string, target: string) => planRoutes([end('source', source), end('target', target)]);
    expect(url(both('https://h/a', 'https://h/b'))).toEqual(['http://h/a', 'http://h/b']);
    expect(url(both('https://h', 'http://h'))).toEqual(['http://h', 'http://target.xvault.invalid']);
    expect(url(both('http://h', 'https://h'))).toEqual(['http://h', 'http://h:443']);
    expect(url(both('http://h:8443', 'https://h:8443'))).toEqual(['http://h:8443', 'http://target.xvault.invalid']);
    const plan = both('http://h', 'https://h');
    expect(routeOf(plan, 'h')?.place.secure).toBe(false);
    expect(routeOf(plan, 'h:443')?.place.secure).toBe(true);
  });

  it('is one for two ends at one server, which are told apart by what they ask for', () => {
    const signed = { signsHost: true };
    const plan = planRoutes([
      end('source', 'https://s3.example', { ...signed, path: '/mine', caPem: 'a' }),
      end('destination', 'https://s3.example', { ...signed, path: '/kept', caPem: 'b' }),
    ]);
    const route = routeOf(plan, 's3.example');
    if (route === undefined) throw new Error('no route');
    const asked = ['/mine/kept/x', '/kept?list-type=2', '/kept', '/kept/', '/kept2/x', '/'];
    const roles = ['source', 'destination', 'destination', 'destination', 'source', 'source'];
    expect(asked.map((path) => roleOf(route, path))).toEqual(roles);
    expect(route.ends.map(({ caPem }) => caPem)).toEqual(['a', 'b']);
    const apart = planRoutes([end('source', 'https://a', { caPem: 'a' }), end('destination', 'https://b')]);
    expect(routeOf(apart, 'b')?.ends.map(({ role, caPem }) => [role, caPem])).toEqual([['destination', null]]);
  });

  it('is none that rclone was told to use no proxy for', () => {
    const direct = [{ secure: false, host: 's3.example', port: 80 }];
    const url = (text: string) => planRoutes([end('source', text)], direct).urls.get('source');
    expect(url('https://s3.example')).toBe('http://s3.example:443');
    expect(url('http://s3.example')).toBe('http://source.xvault.invalid');
    expect(url('http://x.s3.example')).toBe('http://source.xvault.invalid');
    expect(url('http://x-s3.example')).toBe('http://x-s3.example');
    expect(url('http://s3.example:81')).toBe('http://s3.example:81');
  });

  it('has that of its bucket beside it', () => {
    const plan = planRoutes([end('destination', 'https://s3.example', { label: 'bucket', signsHost: true })]);
    expect(routeOf(plan, 'bucket.s3.example')?.place).toEqual({ secure: true, host: 'bucket.s3.example', port: 443 });
    expect(routeOf(plan, 'other.s3.example')).toBeUndefined();
    const near = planRoutes([end('destination', 'http://127.0.0.1:9000', { label: 'bucket', signsHost: true })]);
    expect(routeOf(near, 'bucket.destination.xvault.invalid')?.place.host).toBe('127.0.0.1');
  });
});

describe('where an answer sends on to', () => {
  const at = (url: string, location: string, more: Partial<WebServer> = {}, path = '/dav/a/') => {
    const plan = planRoutes([end('source', url, more), end('destination', 'https://other.example')]);
    const route = routeOf(plan, new URL(plan.urls.get('source') ?? '').host);
    if (route === undefined) throw new Error('no route');
    return plainLocation(plan, route, path, location);
  };

  it.each([
    ['https://h/', '/b/c?x=1#y', 'http://h/b/c?x=1'],
    ['https://h/', 'b', 'http://h/dav/a/b'],
    ['https://h/', '//h/b', 'http://h/b'],
    ['https://h/', 'https://h/b', 'http://h/b'],
    ['https://h/', 'https://H:443/b', 'http://h/b'],
    ['https://h/', 'https://user:password@h/b', 'http://h/b'],
    ['https://h/', 'http://h/b', 'http://h/b'],
    ['https://h:8443/', 'https://h:8443/b', 'http://h:8443/b'],
    ['https://h:8443/', 'http://h:8443/b', 'http://h:8443/b'],
    ['http://h:9000/', 'https://h:9000/b', 'http://h:9000/b'],
    ['http://127.0.0.1:9000/', 'http://127.0.0.1:9000/b', 'http://source.xvault.invalid/b'],
    ['http://127.0.0.1:9000/', 'http://source.xvault.invalid/b', 'http://source.xvault.invalid/b'],
    ['https://h/', '/\xc3\xa9', 'http://h/%C3%A9'],
  ])('%s: %j is the server itself', (url, location, plain) => {
    expect(at(url, location)).toBe(plain);
  });

  it.each([
    ['https://h/', 'http://127.0.0.1/'],
    ['https://h/', 'http://localhost/'],
    ['https://h/', 'http://[::1]/'],
    ['https://h/', '//127.0.0.1/'],
    ['https://h/', '/\\127.0.0.1/'],
    ['https://h/', '\\\\127.0.0.1/'],
    ['https://h/', 'https:\\\\127.0.0.1/'],
    ['https://h/', 'http://h@127.0.0.1/'],
    ['https://h/', 'http://0x7f000001/'],
    ['https://h/', 'https://h.evil.example/'],
    ['https://h/', 'https://other.example/'],
    ['https://h/', 'https://h:8443/'],
    ['https://h/', 'http://h:8080/'],
    ['http://h/', 'https://h/'],
    ['https://h/', 'file:///etc/passwd'],
    ['https://h/', 'ftp://h/'],
    ['https://h/', 'http://'],
    ['http://127.0.0.1:9000/', 'http://127.0.0.1:9001/'],
    ['http://127.0.0.1:9000/', 'http://localhost:9000/'],
    ['http://127.0.0.1:9000/', 'http://destination.xvault.invalid/'],
  ])('%s: %j is another one', (url, location) => {
    expect(at(url, location)).toBeNull();
  });

  it('between a server and its bucket is the server itself', () => {
    const more = { label: 'bucket', signsHost: true };
    expect(at('https://h', 'https://bucket.h/x', more)).toBe('http://bucket.h/x');
    expect(at('https://h', 'https://another.h/x', more)).toBeNull();
  });
});
