import { join } from 'node:path';
import { repositoryRoot } from '../repository-root.ts';
import { makeSecrets } from './make-secrets.ts';

/** Makes deploy/secrets for docker-compose.yml. */
const folder = join(repositoryRoot, 'deploy', 'secrets');
try {
  await makeSecrets(folder);
  console.log(
    `made ${folder}; keep a copy of the two identities in a safe place: without them nothing can be restored`,
  );
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
