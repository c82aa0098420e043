import { errorCodes } from '@xvault/shared/errors.ts';
import { describe, expect, it } from 'vitest';
import { classify, endOf, eventCodeOf } from './classify.ts';

describe('what rclone’s words mean', () => {
  it.each([
    ['ssh: handshake failed: ssh: unable to authenticate, attempted methods [none password]', 'ERROR_AUTH'],
    ['ssh: handshake failed: knownhosts: key is unknown', 'ERROR_AUTH'],
    ['response error: The attempted logon is invalid.', 'ERROR_AUTH'],
    ['oauth2: cannot fetch token: 400 Bad Request: {"error":"invalid_grant"}', 'ERROR_AUTH'],
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
  });

  it('every code of an error is some event', () => {
    for (const code of errorCodes) expect(eventCodeOf(code)).toMatch(/^ERROR_/);
    expect(eventCodeOf('STORAGE_FULL')).toBe('ERROR_STORAGE_FULL');
    expect(eventCodeOf('SOURCE_UNREACHABLE')).toBe('ERROR_NETWORK');
    expect(eventCodeOf('SOURCE_PATH_NOT_FOUND')).toBe('ERROR_NOT_FOUND');
  });
});
