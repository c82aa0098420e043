import { Agent, request } from 'node:http';

/** One keep-alive connection for each request under way: the least that a client can cost. */
export interface ThinClient {
  post(path: string): Promise<{ readonly status: number; readonly body: string }>;
  close(): void;
}

export function thinClient(baseUrl: string, token: string, connections: number): ThinClient {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const { hostname, port } = new URL(baseUrl);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': '2' };
  return {
    post: (path) =>
      new Promise((resolve, reject) => {
        const sent = request({ hostname, port, path, method: 'POST', agent, headers }, (answer) => {
          let body = '';
          answer.setEncoding('utf8').on('data', (text: string) => {
            body += text;
          });
          answer.once('end', () => resolve({ status: answer.statusCode ?? 0, body }));
          answer.once('error', reject);
        });
        sent.once('error', reject);
        sent.end('{}');
      }),
    close: () => agent.destroy(),
  };
}
