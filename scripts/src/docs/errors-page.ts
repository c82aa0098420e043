import { errorCatalogue } from '@xvault/shared/errors.ts';

const faults = {
  customer: 'the customer',
  operator: 'the operator of the platform',
  system: 'nobody: the platform deals with it',
} as const;

/** The reference of error codes, as Markdown. */
export function renderErrorsPage(): string {
  const rows = Object.entries(errorCatalogue).map(
    ([code, { http, fault, retryable, sentence }]) =>
      `| \`${code}\` | ${http} | ${faults[fault]} | ${retryable ? 'yes' : 'no'} | ${sentence} |`,
  );
  return `# Errors

This page is generated from \`shared/src/errors.ts\` by \`node scripts/src/docs/write-errors-page.ts\`.

The API answers errors as \`application/problem+json\` with the code in \`code\`; a run that failed has it in \`error_code\`.
Codes keep their meaning. "May pass by itself" says whether the same request or attempt can succeed later with nothing changed.

| code | HTTP | who must act | may pass by itself | sentence |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
}
