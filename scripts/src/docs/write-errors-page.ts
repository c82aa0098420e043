import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../repository-root.ts';
import { renderErrorsPage } from './errors-page.ts';

writeFileSync(join(repositoryRoot, 'docs', 'errors.md'), renderErrorsPage());
