/** A POSIX script as one word for whatever login shell the user has. The script must hold no line break. */
export function posixShell(script: string): string {
  return `exec /bin/sh -c '${script.replaceAll("'", `'\\''`)}'`;
}

/** Sets the variable `name` to any bytes (but NUL). No byte of them stands in the script itself. */
export function assignBytes(name: string, value: Buffer): string {
  let octal = '';
  for (const byte of value) octal += `\\${byte.toString(8).padStart(3, '0')}`;
  // The shell cuts line breaks off the end of what a command prints.
  return `${name}=$(printf "${octal}x"); ${name}=\${${name}%x}`;
}
