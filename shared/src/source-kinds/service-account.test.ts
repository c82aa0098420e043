import { expect, it } from 'vitest';
import { ServiceAccounts } from '../testing/cloud/service-accounts.ts';
import { parseServiceAccount } from './service-account.ts';

const leading = {
  token_uri: 'http://localhost:9/',
  auth_uri: 'http://localhost:9/',
  client_x509_cert_url: 'file:///etc/passwd',
  quota_project_id: 'x',
};
const { json, email } = new ServiceAccounts().create(leading);
const changed = (more: object) => JSON.stringify({ ...JSON.parse(json), ...more });

it('keeps of a key file what it takes to sign, and no address', () => {
  const { private_key, private_key_id } = JSON.parse(json) as Record<string, string>;
  const kept = { type: 'service_account', client_email: email, private_key_id, private_key };
  expect(parseServiceAccount(json)).toEqual({ ...kept, universe_domain: 'googleapis.com' });
  const { universe_domain: _, private_key_id: __, ...less } = JSON.parse(json) as Record<string, string>;
  expect(parseServiceAccount(JSON.stringify(less))).toEqual({
    type: 'service_account',
    client_email: email,
    private_key,
  });
});

it.each([
  ['another type', changed({ type: 'external_account' })],
  ['another universe', changed({ universe_domain: 'apis.example.com' })],
  ['no key', changed({ private_key: undefined })],
  ['an encrypted key', changed({ private_key: '-----BEGIN ENCRYPTED PRIVATE KEY-----\nx' })],
  ['an address with a line break', changed({ client_email: 'a@b\nc = d' })],
  ['no address', changed({ client_email: 'nobody' })],
  ['a list', '[]'],
  ['no JSON', 'not JSON'],
])('refuses %s', (_, text) => {
  expect(parseServiceAccount(text)).toBeNull();
});
