import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.ts';

export interface TestCertificate {
  /** Files in the given folder. */
  readonly keyFile: string;
  readonly certFile: string;
  /** The certificate itself, which is its own authority. */
  readonly certPem: string;
}

/** A self-signed certificate for these names and addresses. */
export async function makeCertificate(folder: string, names: readonly string[]): Promise<TestCertificate> {
  const [keyFile, certFile] = [join(folder, 'tls-key.pem'), join(folder, 'tls-cert.pem')];
  const alternatives = names.map((name) => `${/^[\d.:]+$/.test(name) ? 'IP' : 'DNS'}:${name}`).join(',');
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-keyout', keyFile, '-out', certFile, '-subj', '/CN=xvault-test', '-addext', `subjectAltName=${alternatives}`],
  ]);
  return { keyFile, certFile, certPem: await readFile(certFile, 'utf8') };
}
