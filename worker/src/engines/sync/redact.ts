/** rclone's words for operators: without what could be a credential. Customers never read them. */
export function redact(words: string): string {
  return words
    .replace(/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+/gi, '$1 [redacted]')
    .replace(
      // What follows the words for renewing a token is why it failed.
      /\b(?<!\bfetch )(authorization|x-amz-signature|x-amz-credential|x-amz-security-token|access_token|refresh_token|client_secret|password|pass|secret|token|signature)(\\*"?\s*[=:]\s*\\*"?)[^\s"&,;\\]+/gi,
      '$1$2[redacted]',
    )
    .replace(/:\/\/[^\s/@:]+:[^\s@]+@/g, '://[redacted]@')
    .replace(/-----BEGIN [^-]+-----[\s\S]*?(-----END [^-]+-----|$)/g, '[redacted]');
}
