/** A line of known_hosts for each key of a server that is reached at `host:port`. */
export function knownHosts(host: string, port: number, keys: readonly Buffer[]): string {
  const lines = keys.map((key) => `[${host}]:${port} ${keyType(key)} ${key.toString('base64')}\n`);
  return [...new Set(lines)].join('');
}

/** What the blob of a public key begins with. Source: RFC 4253, section 6.6. */
function keyType(key: Buffer): string {
  return key.toString('latin1', 4, 4 + key.readUInt32BE(0));
}
