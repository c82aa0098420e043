import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** What the set-up fetches and remembers; ignored by git. */
export const stateDir = join(root, '.xvault');
export const toolsDir = join(stateDir, 'tools');
