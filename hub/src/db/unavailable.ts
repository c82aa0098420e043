const socketCodes = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EHOSTUNREACH'];
/** Classes 08 (connection), 53 (resources), 57P (shutdown, starting up) and 40 (deadlock, rolled back) of PostgreSQL's error codes. */
const sqlStates = /^(08|53|57P|40)/;
const poolWords =
  /timeout exceeded when trying to connect|Connection terminated|Client has encountered a connection error/;

/** Whether the database is away for now, so that the same request may succeed later. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as Error & { code?: unknown }).code;
  if (typeof code === 'string' && (socketCodes.includes(code) || sqlStates.test(code))) return true;
  return poolWords.test(error.message);
}
