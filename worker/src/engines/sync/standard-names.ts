/**
 * rclone's own form of names: control characters as their pictures, and `‛` before a picture that is meant. What backends that
 * keep names as they are cannot take (`/`, NUL, a name that is a dot or two) stays in that form.
 */
const quote = '\u{201b}';
const deletePicture = 0x2421;
const pictures = '[\u{2401}-\u{241f}\u{2421}]';
const encoded = new RegExp(`${quote}?${pictures}`, 'gu');
const special = new RegExp(`[\\u{1}-\\u{1f}\\u{7f}]|${pictures}`, 'gu');

/** What a path in rclone's form is called on a file system. */
export function fromStandardName(path: string): string {
  return path.replace(encoded, (match) => {
    if (match.startsWith(quote)) return match.slice(1);
    const code = match.charCodeAt(0);
    return code === deletePicture ? '\u{7f}' : String.fromCharCode(code - 0x2400);
  });
}

/** The reverse of {@link fromStandardName}. */
export function toStandardName(path: string): string {
  return path.replace(special, (match) => {
    const code = match.charCodeAt(0);
    if (code >= 0x2400) return `${quote}${match}`;
    return String.fromCharCode(code === 0x7f ? deletePicture : code + 0x2400);
  });
}
