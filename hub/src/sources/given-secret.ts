import { seal } from '@xvault/shared/sealing.ts';
import { invalidField } from '../http/problem.ts';
import type { CreateSource, UnsavedSource } from './sources.schema.ts';

type Given = CreateSource | UnsavedSource;

/** Throws BAD_REQUEST for a drive that neither a connection nor a service account opens. */
export function requireSignIn(given: Given): void {
  if (given.type !== 'google_drive' || given.config.connection_id !== null) return;
  if (given.secret.service_account_json !== undefined) return;
  throw invalidField('config.connection_id', 'give a connection, or the key of a service account as secret');
}

/** Null for kinds that have none. */
export async function sealGiven(given: Given, credentialsRecipient: string): Promise<string | null> {
  return 'secret' in given ? seal(JSON.stringify(given.secret), credentialsRecipient) : null;
}
