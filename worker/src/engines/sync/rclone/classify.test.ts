import { errorCodes } from '@xvault/shared/errors.ts';
import { describe, expect, it } from 'vitest';
import { classify, endOf, eventCodeOf } from './classify.ts';

describe('what rclone’s words mean', () => {
  it.each([
    ['ssh: handshake failed: ssh: unable to authenticate, attempted methods [none password]', 'ERROR_AUTH'],
    ['ssh: handshake failed: knownhosts: key is unknown', 'ERROR_AUTH'],
    ['response error: The attempted logon is invalid.', 'ERROR_AUTH'],
    ['oauth2: cannot fetch token: 400 Bad Request: {"error":"invalid_grant"}', 'ERROR_AUTH'],
    ['oauth2: cannot fetch token: 401 Unauthorized: {"error":"invalid_client"}', 'ERROR_AUTH'],
    ["couldn't fetch token: Post token: dial tcp: connect: connection refused", 'ERROR_NETWORK'],
    ['SignatureDoesNotMatch: \n\tstatus code: 403', 'ERROR_AUTH'],
    ['AccessDenied: \n\tstatus code: 403', 'ERROR_PERMISSION'],
    ['googleapi: Error 403: Rate Limit Exceeded, rateLimitExceeded', 'ERROR_RATE_LIMIT'],
    ['too_many_requests/..', 'ERROR_RATE_LIMIT'],
    ['googleapi: Error 403: The download quota for this file has been exceeded., downloadQuotaExceeded', 'ERROR_QUOTA'],
    ['file too big for remaining disk space', 'ERROR_STORAGE_FULL'],
    ['write /x: no space left on device', 'ERROR_STORAGE_FULL'],
    ['directory not found', 'ERROR_NOT_FOUND'],
    ['dial tcp: lookup x: no such host', 'ERROR_NETWORK'],
    ['dial tcp 127.0.0.1:1: connect: connection refused', 'ERROR_NETWORK'],
    ['read tcp 127.0.0.1:56766->127.0.0.1:34403: read: connection reset by peer', 'ERROR_NETWORK'],
    ['read tcp [::1]:55530->[fe80::403]:34403 : read: connection reset by peer', 'ERROR_NETWORK'],
    ['x509: certificate signed by unknown authority', 'ERROR_NETWORK'],
    ['http: server gave HTTP response to HTTPS client', 'ERROR_NETWORK'],
    ['something that nobody has seen', 'ERROR_INTERNAL'],
  ])('%s', (words, event) => {
    expect(classify(words).event).toBe(event);
  });

  it('tell the end where they say it', () => {
    expect(endOf('Failed to copy: failed to open source object: permission denied')).toBe('source');
    expect(endOf('error reading source directory: permission denied')).toBe('source');
    expect(endOf('error reading destination directory: AccessDenied')).toBe('destination');
    expect(endOf('multipart upload failed to initialise: AccessDenied')).toBe('destination');
    expect(endOf('Failed to copy: AccessDenied')).toBeNull();
    expect(endOf('failed to open directory "a": open /data/a: permission denied')).toBe('source');
    expect(endOf('open /data/open source object: permission denied')).toBeNull();
    expect(endOf('Failed to copy: 550 multipart upload: denied', 'x/multipart upload')).toBeNull();
  });

  it.each([
    ['Failed to copy: failed to open source object: open /data/certificate.pem: permission denied', 'ERROR_PERMISSION'],
    ['open /data/530 Login incorrect: 403: no space left on device: permission denied', 'ERROR_PERMISSION'],
    ['open /data/403\n429 x509/a b: input/output error', 'ERROR_INTERNAL'],
    ['lstat /data/connection refused: permission denied', 'ERROR_PERMISSION'],
    ['write /data/certificate.pem.a1b2c3d4.partial: no space left on device', 'ERROR_STORAGE_FULL'],
    [
      'failed to get info about directory entry "/data/x509 403": lstat /data/x509 403: permission denied',
      'ERROR_PERMISSION',
    ],
    ['Get "https://files.example/x509/403.txt": dial tcp: lookup files.example: no such host', 'ERROR_NETWORK'],
    ['corrupted on transfer: sizes differ 4530 vs 4552 ', 'ERROR_INTERNAL'],
    ['corrupted on transfer: sizes differ 530 vs 552 ', 'ERROR_INTERNAL'],
    ['corrupted on transfer: sizes differ 429 vs 550 ', 'ERROR_INTERNAL'],
    ['NoSuchKey: \n\tstatus code: 404, request id: tx0403-429 530 552, host id: ', 'ERROR_INTERNAL'],
  ])('is not read out of names and figures: %s', (words, event) => {
    expect(classify(words).event).toBe(event);
  });

  it.each([
    [
      'Failed to copy: failed to open source object: open certs\\certificate.pem: STATUS_ACCESS_DENIED',
      'certs/certificate.pem',
      'ERROR_PERMISSION',
    ],
    [
      'Failed to copy: failed to open source object: open: 550 /certs/certificate.pem: Permission denied',
      'certs/certificate.pem',
      'ERROR_PERMISSION',
    ],
    ['failed to open directory "x509": open /data/x509: permission denied', 'x509', 'ERROR_PERMISSION'],
    ['Failed to copy: AccessDenied: \n\tstatus code: 403', '403', 'ERROR_PERMISSION'],
    ['Failed to copy: unexpected EOF', 'a', 'ERROR_NETWORK'],
  ])('is not read out of the item’s own name: %s', (words, item, event) => {
    expect(classify(words, item).event).toBe(event);
  });

  it.each([
    ['530 Login incorrect.', 'ERROR_AUTH'],
    ['NewFs: ftpConnection Login: 530 Not logged in', 'ERROR_AUTH'],
    ['update stor: 552 Exceeded storage allocation', 'ERROR_STORAGE_FULL'],
    ['failed to open source object: open: 550 Failed to open file.', 'ERROR_PERMISSION'],
    ['error listing: 550 No such directory.', 'ERROR_NOT_FOUND'],
    ['Forbidden: Forbidden\n\tstatus code: 403, request id: 1', 'ERROR_PERMISSION'],
    [
      'operation error S3: HeadObject, https response error StatusCode: 403, RequestID: 1, api error X',
      'ERROR_PERMISSION',
    ],
    ['HTTP error 429 (429 Too Many Requests)', 'ERROR_RATE_LIMIT'],
    ['googleapi: Error 403: something', 'ERROR_PERMISSION'],
  ])('codes of answers: %s', (words, event) => {
    expect(classify(words).event).toBe(event);
  });

  it('every code of an error is some event', () => {
    for (const code of errorCodes) expect(eventCodeOf(code)).toMatch(/^ERROR_/);
    expect(eventCodeOf('STORAGE_FULL')).toBe('ERROR_STORAGE_FULL');
    expect(eventCodeOf('SOURCE_UNREACHABLE')).toBe('ERROR_NETWORK');
    expect(eventCodeOf('SOURCE_PATH_NOT_FOUND')).toBe('ERROR_NOT_FOUND');
    expect(eventCodeOf('SOURCE_READ_FAILED')).toBe('ERROR_INTERNAL');
    expect(eventCodeOf('STORAGE_FAILED')).toBe('ERROR_INTERNAL');
    expect(eventCodeOf('STORAGE_UNREACHABLE')).toBe('ERROR_NETWORK');
    expect(eventCodeOf('STORAGE_PERMISSION')).toBe('ERROR_PERMISSION');
  });
});
