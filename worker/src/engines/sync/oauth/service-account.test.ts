import { ServiceAccounts } from '@xvault/shared/testing/cloud/service-accounts.ts';
import { describe, expect, it } from 'vitest';
import { renderConfig } from '../remotes/config-file.ts';
import { readServiceAccount, serviceAccountJson } from './service-account.ts';

const tokenUrl = 'https://oauth2.example.com/token';
const accounts = new ServiceAccounts();

describe('what rclone is given of a service account', () => {
  it('has the platform’s token endpoint, and nothing that it does not need', () => {
    const { json, email } = accounts.create({
      token_uri: 'http://localhost:9/',
      auth_uri: 'http://localhost:9/',
      client_x509_cert_url: 'http://localhost:9/',
      subject: 'somebody@example.com',
      delegates: ['x'],
    });
    const given = JSON.parse(serviceAccountJson(readServiceAccount(json), tokenUrl)) as Record<string, unknown>;
    const { private_key, private_key_id } = JSON.parse(json) as Record<string, unknown>;
    const type = 'service_account';
    expect(given).toEqual({ type, client_email: email, private_key_id, private_key, token_uri: tokenUrl });
  });

  it('is one line of the config', () => {
    const { json } = accounts.create();
    const value = serviceAccountJson(readServiceAccount(json), tokenUrl);
    expect(renderConfig({ src: { type: 'drive', service_account_credentials: value } }).split('\n')).toEqual([
      '[src]',
      'type = drive',
      `service_account_credentials = ${value}`,
      '',
      '',
    ]);
  });
});
