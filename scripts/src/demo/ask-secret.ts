/** Asks on the terminal without echo. Throws where there is no terminal. */
export async function askSecret(question: string): Promise<string> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY) throw new Error('no key and no terminal to ask on: give --key FILE or set XVAULT_DEMO_PASSWORD');
  stderr.write(question);
  stdin.setRawMode(true);
  let secret = '';
  try {
    for await (const chunk of stdin.iterator({ destroyOnReturn: false })) {
      for (const character of String(chunk)) {
        if (character === '\r' || character === '\n') return secret;
        if (character === '\u0003') throw new Error('interrupted');
        secret = character === '\u007f' ? secret.slice(0, -1) : secret + character;
      }
    }
    return secret;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}
