import { destinationConnection } from '@xvault/shared/destinations.ts';
import { sourceConnection } from '@xvault/shared/sources.ts';
import { describe, expect, it } from 'vitest';
import { renderConfig } from './config-file.ts';
import { ftpRemote, smbRemote } from './servers.ts';

const reached = { host: '127.0.0.1', port: 1 };
const lineBreaks = ['x\ntype = local', 'x\r\n[raw]', 'x\n[src]\ntype = local'];

describe('the schema of what customers give', () => {
  it.each(lineBreaks)('refuses line breaks: %j', (text) => {
    const tries = [
      { type: 'smb', config: { host: 'h', user: text, share: 'data' } },
      { type: 'smb', config: { host: 'h', user: 'u', share: text } },
      { type: 'smb', config: { host: text, user: 'u', share: 'data' } },
      { type: 'smb', config: { host: 'h', user: 'u', share: 'data', domain: text } },
      { type: 'smb', config: { host: 'h', user: 'u', share: 'data', path: text } },
      { type: 'webdav', config: { url: `http://h/${text}`, user: 'u', path: text } },
      { type: 'ftp', config: { host: 'h', user: text, path: '/' } },
      { type: 'sftp', config: { host: 'h', user: text, path: '/' }, host_key: null },
      { type: 's3', config: { bucket: text } },
      { type: 's3', config: { bucket: 'b', prefix: text } },
      { type: 's3', config: { bucket: 'b', region: text } },
      { type: 'google_drive', config: { root_folder_id: text } },
      { type: 'google_drive', config: { team_drive: text } },
    ];
    for (const each of tries) expect(sourceConnection.safeParse(each).success, JSON.stringify(each)).toBe(false);
    const to = { type: 's3', config: { bucket: 'b', storage_class: text } };
    expect(destinationConnection.safeParse(to).success).toBe(false);
  });

  it.each([':local:', 'b,endpoint=http://x', 'b:c', '"b"', '[b]', 'b/../c', '%(x)s'])(
    'refuses a bucket %j',
    (bucket) => {
      expect(sourceConnection.safeParse({ type: 's3', config: { bucket } }).success).toBe(false);
    },
  );

  it.each(['h,user=root', ':local:/', 'h/x', 'h\\x', '"h"', 'h name'])('refuses a host %j', (host) => {
    const config = { host, user: 'u', share: 'data' };
    expect(sourceConnection.safeParse({ type: 'smb', config }).success).toBe(false);
  });

  it('refuses paths that lead out, and options that nobody offered', () => {
    const config = { host: 'h', user: 'u', share: 'data' };
    expect(sourceConnection.safeParse({ type: 'smb', config: { ...config, path: '../x' } }).success).toBe(false);
    expect(sourceConnection.safeParse({ type: 'smb', config: { ...config, hide_special_share: 'x' } }).success).toBe(
      false,
    );
    expect(sourceConnection.safeParse({ type: 'crypt', config: { remote: ':local:/' } }).success).toBe(false);
  });
});

describe('the config that rclone reads', () => {
  it('holds values as they are, whatever else they look like', () => {
    const user = "a=b,opt=c [src] :local: ;#'x";
    const config = { host: 'h', port: 445, user, domain: 'D', share: 'data', path: '' };
    const remote = smbRemote(config, { password: 'p' }, reached);
    expect(renderConfig({ src: remote.options })).toContain(`\nuser = ${user}\n`);
  });

  it.each(['x\ny', 'x\ry', 'x\0y', '"x', '`x', '%(pass)s', ' x', 'x ', '\ty'])('refuses the value %j', (value) => {
    const refused = expect.objectContaining({ code: 'SYNC_FAILED', detail: expect.not.stringContaining(value) });
    expect(() => renderConfig({ src: { type: 'ftp', user: value } })).toThrow(refused);
  });

  it.each(['a b', 'a=b', 'a\nb', '[a]', ''])('refuses the option %j', (name) => {
    expect(() => renderConfig({ src: { [name]: 'x' } })).toThrow(expect.objectContaining({ code: 'SYNC_FAILED' }));
  });

  it('holds no password as it is', () => {
    const config = sourceConnection.parse({ type: 'ftp', config: { host: 'h', user: 'u', path: '/' } });
    if (config.type !== 'ftp') throw new Error('another type');
    const text = renderConfig({ src: ftpRemote(config.config, { password: 'cAnArY\n"x' }, reached).options });
    expect(text).not.toContain('cAnArY');
    expect(text.match(/\n/g)).toHaveLength(Object.keys(text.split('\n').filter((line) => line !== '')).length + 1);
  });
});
