import { getCACertificates, setDefaultCACertificates } from 'node:tls';

/** From here on all of this process's connections over TLS also trust what these authorities have signed. PEM. */
export function trustAlso(pem: string | undefined): void {
  if (pem === undefined) return;
  const known = getCACertificates('default');
  setDefaultCACertificates([...known, ...certificatesIn(pem)]);
}

/** Each certificate on its own. */
function certificatesIn(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
}
