import { connect } from 'node:net';

/** Sends one command to a Redis server, after AUTH; resolves with the first line of its reply, such as `+PONG` or `:3`. */
export function redisCommand(port: number, password: string, command: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let reply = '';
    socket.setEncoding('utf8').setTimeout(5_000, () => socket.destroy(new Error('Redis did not answer')));
    socket.once('connect', () => socket.write(encode(['AUTH', password]) + encode(command)));
    socket.on('data', (text: string) => {
      reply += text;
      const lines = reply.split('\r\n');
      if (lines.length < 3) return;
      socket.destroy();
      resolve(lines[0] === '+OK' ? (lines[1] ?? '') : (lines[0] ?? ''));
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('Redis closed the connection')));
  });
}

function encode(parts: readonly string[]): string {
  return `*${parts.length}\r\n${parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`;
}

/** Whether the server answers PING; false while it is starting, loading or gone. */
export async function redisAnswers(port: number, password: string): Promise<boolean> {
  try {
    return (await redisCommand(port, password, ['PING'])) === '+PONG';
  } catch {
    return false;
  }
}
