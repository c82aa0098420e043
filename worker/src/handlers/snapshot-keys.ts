import { XVaultError } from '@xvault/shared/errors.ts';
import type { StartResponse } from '@xvault/shared/internal-api.ts';
import { unseal } from '@xvault/shared/sealing.ts';
import type { HandlerDeps } from './deps.ts';

type Sealed = Pick<StartResponse, 'run_identity_sealed' | 'tenant_identities_sealed'>;

/**
 * What opens the snapshots of a run's tenant, unsealed for this run only. An identity that was given for the run is the
 * only one that is tried: whether it fits is what its giver wants to know. Throws TENANT_KEY_UNAVAILABLE when there is none.
 */
export async function snapshotIdentities(start: Sealed, deps: Pick<HandlerDeps, 'config'>): Promise<string[]> {
  const identities = await heldIdentities(start, deps);
  if (identities.length === 0) throw new XVaultError('TENANT_KEY_UNAVAILABLE');
  return identities;
}

/** The same, but none where the customer alone holds the key. Throws KEY_NOT_HELD when this worker can open none of them. */
export async function heldIdentities(start: Sealed, { config }: Pick<HandlerDeps, 'config'>): Promise<string[]> {
  const vault = config.XVAULT_VAULT_IDENTITY;
  if (vault === undefined) throw new XVaultError('KEY_NOT_HELD', { detail: 'this worker has no vault identity' });
  const sealed = start.run_identity_sealed === null ? start.tenant_identities_sealed : [start.run_identity_sealed];
  return Promise.all(sealed.map((one) => unseal(one, [vault])));
}
