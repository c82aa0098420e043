import { describe, expect, it } from 'vitest';
import { parseLogLine } from './rclone/log-line.ts';
import { RcError } from './rclone/rc-client.ts';
import { redact } from './redact.ts';
import { TransferLog } from './transfer-log.ts';

const canary = 'cAnArY0123456789+/=';

describe('words for operators', () => {
  it.each([
    `Authorization: Bearer ${canary}`,
    `"authorization": "Basic ${canary}"`,
    `Get "https://bucket/?X-Amz-Credential=${canary}&X-Amz-Signature=${canary}": EOF`,
    `Get "https://user:${canary}@host/path": refused`,
    `{"access_token":"${canary}","refresh_token":"${canary}"}`,
    `oauth2: cannot fetch token: client_secret=${canary}`,
    `{"token":"{\\"access_token\\":\\"${canary}\\",\\"refresh_token\\": \\"${canary}\\"}"}`,
    `password = ${canary}`,
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${canary}\n-----END OPENSSH PRIVATE KEY-----`,
    `-----BEGIN RSA PRIVATE KEY-----\n${canary}`,
  ])('hold no credential: %s', (words) => {
    expect(redact(words)).not.toContain(canary);
  });

  it.each([
    'Failed to copy: AccessDenied: status code: 403, request id: tx0001',
    "couldn't fetch token: invalid_grant: maybe token expired? - try refreshing",
    'oauth2: cannot fetch token: 401 Unauthorized',
  ])('keep what helps: %s', (words) => {
    expect(redact(words)).toBe(words);
  });

  it('are all that is told of what rclone answers', () => {
    const error = new RcError('operations/list', 500, `Get "https://u:${canary}@host/": refused`);
    expect(`${error.words} ${error.message} ${error.stack}`).not.toContain(canary);
  });
});

describe('the log of a transfer', () => {
  const line = (level: string, msg: string, object?: string, objectType = '*local.Object') =>
    parseLogLine(JSON.stringify({ level, msg, ...(object === undefined ? {} : { object, objectType }) }));

  it('sorts items from the rest, and tells operators redacted words of bounded length', () => {
    const told: string[] = [];
    const log = new TransferLog((words) => told.push(words));
    log.add(line('info', 'Copied (new)', 'a.txt'));
    log.add(line('error', 'Failed to copy: permission denied', 'b.txt'));
    log.add(line('error', `password=${canary} ${'x'.repeat(5000)}`));
    log.add(line('warning', 'not important'));
    log.add(line('error', 'rc: "operations/list": error: nothing'));
    log.add(parseLogLine('Fatal error: not JSON at all'));
    expect(log.takeItemErrors()).toEqual([{ path: 'b.txt', words: 'Failed to copy: permission denied' }]);
    expect(log.takeItemErrors()).toEqual([]);
    expect(log.wasCopied('a.txt')).toBe(true);
    expect(log.wasCopied('b.txt')).toBe(false);
    expect(log.lastError).toBe('Fatal error: not JSON at all');
    expect(told).toHaveLength(4);
    expect(told.join('')).not.toContain(canary);
    for (const words of told) expect(words.length).toBeLessThanOrEqual(2000);
  });

  it('tells what came from the source from what was moved away to be kept', () => {
    const log = new TransferLog(() => undefined);
    log.add(line('info', 'Copied (new)', 'new'));
    log.add(line('info', 'Copied (server-side copy)', 'replaced'));
    log.add(line('info', 'Copied (replaced existing)', 'replaced'));
    log.add(line('info', 'Multi-thread Copied (new)', 'large'));
    log.add(line('info', 'Copied (server-side copy)', 'gone'));
    log.add(line('info', 'Moved (server-side)', 'gone too'));
    log.add(line('info', 'Deleted', 'gone'));
    expect([...(log.brought() ?? [])]).toEqual(['new', 'replaced', 'large']);
    expect(log.wasCopied('gone')).toBe(false);
  });

  it('forgets no item that failed, however many they are', () => {
    const log = new TransferLog(() => undefined);
    for (let number = 0; number < 10_050; number += 1) {
      log.add(line('error', `Failed to copy: failed to open source object: ${number}`, `item ${number}`));
    }
    log.add(line('error', 'Failed to copy: EOF', 'item 7'));
    const items = log.takeItemErrors();
    expect(new Set(items.map(({ path }) => path)).size).toBe(10_050);
    expect(items[7]).toEqual({ path: 'item 7', words: 'Failed to copy: EOF' });
    expect(items.at(-1)?.words).toMatch(/^Failed to copy: failed to open source object/);
    expect(log.takeItemErrors()).toEqual([]);
  });

  it('calls nothing whole where more failed than can be remembered', () => {
    const log = new TransferLog(() => undefined);
    const failed = { level: 'error', message: 'Failed to copy: EOF', isJson: true } as const;
    for (let number = 0; number <= 1_000_000; number += 1) log.add({ ...failed, object: `${number}` });
    expect(() => log.takeItemErrors()).toThrow(expect.objectContaining({ code: 'SYNC_FAILED' }));
    expect(log.takeItemErrors()).toEqual([]);
  });

  it('takes a whole remote for no item', () => {
    const log = new TransferLog(() => undefined);
    log.add(line('error', 'error reading destination', 'S3 bucket x', '*s3.Fs'));
    expect(log.takeItemErrors()).toEqual([]);
  });
});
