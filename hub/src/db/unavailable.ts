const socketCodes = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EHOSTUNREACH'];
/** Classes 08 (connection), 53 (resources) and 57P (shutdown, starting up) of PostgreSQL's error codes. */
const awayStates = /^(08|53|57P)/;
/** Class 40: deadlock, rolled back. */
const rolledBackStates = /^40/;
const poolWords =
  /timeout exceeded when trying to connect|Connection terminated|Client has encountered a connection error/;

/** Whether the database is away for now, so that the same request may succeed later. */
export function isDatabaseUnavailable(error: unknown): boolean {
  return isDatabaseAway(error) || rolledBackStates.test(codeOf(error));
}

/** The same, and any other request would have failed just so. */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = codeOf(error);
  return socketCodes.includes(code) || awayStates.test(code) || poolWords.test(error.message);
}

function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : '';
}
