import { execFile } from 'node:child_process';

/** Runs a program to its end; rejects with its last words unless it exits with 0. */
export function run(file: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(file, args, { encoding: 'utf8' }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${file} failed: ${stderr.slice(-2000) || error.message}`, { cause: error }));
      else resolve(stdout);
    });
    // A program that ends without reading its input is judged by its exit code.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
