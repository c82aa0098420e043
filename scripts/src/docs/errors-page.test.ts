import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../repository-root.ts';
import { renderErrorsPage } from './errors-page.ts';

test('docs/errors.md is what the catalogue says (else run scripts/src/docs/write-errors-page.ts)', () => {
  expect(readFileSync(join(repositoryRoot, 'docs', 'errors.md'), 'utf8')).toBe(renderErrorsPage());
});
