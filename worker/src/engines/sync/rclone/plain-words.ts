/** Ends of connections, whose ports read like codes of answers. */
const endpoints = /(?:\d{1,3}(?:\.\d{1,3}){3}|\[[\da-f:.]+\]):\d+/gi;
/** Paths and addresses as Go quotes them. */
const quoted = /"(?:\/|[a-z][a-z\d+.-]*:\/\/)(?:\\.|[^"\\])*"/gi;
/** `open /some/path: reason`, as errors of the system read: a path may hold anything, the reason comes last. */
const doneTo = /\b([a-z]+) \/[\s\S]*: /g;

/**
 * rclone's words without what customers have named: a file may be called `certificate.pem` or `403`, which says nothing of what is
 * wrong with it.
 * @param item the path of what they are about.
 */
export function plainWords(words: string, item = ''): string {
  const told = words.replace(endpoints, '').replace(quoted, '""').replace(doneTo, '$1: ');
  const names = new Set([item, item.replaceAll('/', '\\'), item.slice(item.lastIndexOf('/') + 1)]);
  return [...names].reduce((rest, name) => (name === '' ? rest : rest.replace(standing(name), '')), told);
}

/** A name by itself, not as a part of a word. */
function standing(name: string): RegExp {
  const literal = name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  return new RegExp(`(?<![^\\s/\\\\"'=(])${literal}(?![^\\s:"',;)])`, 'g');
}
