import type { NotesRequest } from '@xvault/shared/internal-api.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HubUnreachable } from '../lanes/hub-client.ts';
import { handleSyncBackup } from './sync-backup.ts';
import { type CloudPlatform, type KeptConnection, makeCloudPlatform } from './sync-cloud.test-kit.ts';

type Notes = Pick<NotesRequest, 'diagnostics' | 'connection'>;

let cloud: CloudPlatform;
beforeAll(async () => {
  cloud = await makeCloudPlatform();
  cloud.providers.drive.put('a.txt', 'a');
});
afterAll(() => cloud?.stop());
beforeEach(() => Object.assign(cloud.providers.google, { rotates: false, accessSeconds: 3600, failures: [] }));

const sourceOf = (connection: KeptConnection): SourceConnection =>
  sourceConnection.parse({ type: 'google_drive', config: { connection_id: connection.id } });

/** One run of which the Hub does not answer what `isLost` names, however often it is tried; it may have taken it all the same. */
async function runWithout(connection: KeptConnection, isLost: (notes: Notes) => boolean, isTaken = false) {
  const { context, told } = await cloud.contextBy(connection, sourceOf(connection));
  const keep: typeof context.keep = async (notes) => {
    if (!isLost(notes)) return context.keep(notes);
    if (isTaken) await context.keep(notes);
    throw new HubUnreachable('no answer from the Hub');
  };
  return { told, work: handleSyncBackup({ ...context, keep }, cloud.deps) };
}

describe('a run whose notes do not reach the Hub', () => {
  it('ends as it ended, and says that the token could not be handed over', async () => {
    const connection = await cloud.connect('google_drive');
    const { told, work } = await runWithout(connection, ({ connection: said }) => said !== undefined);
    expect((await work).snapshot.file_count).toBe(1);
    expect(told.notes.join('\n')).toContain('the renewed token could not be kept');
  });

  it('ends as it ended without its diagnostics', async () => {
    const connection = await cloud.connect('google_drive');
    const { told, work } = await runWithout(connection, ({ diagnostics }) => diagnostics !== undefined);
    expect((await work).snapshot.file_count).toBe(1);
    expect(connection.generation).toBe(2);
    expect(told.notes.join('\n')).toContain('the diagnostics could not be kept');
  });

  it('tells its own error where the Hub cannot hear of the revoked access', async () => {
    const connection = await cloud.connect('google_drive');
    cloud.providers.google.failures = [{ status: 400, error: 'invalid_grant' }];
    const { work } = await runWithout(connection, () => true);
    await expect(work).rejects.toMatchObject({ code: 'ERR_GDRIVE_REFRESH_PRECHECK' });
  });

  it.each([
    ['hands the token over at its end where that failed at its begin', { isTaken: false, renewsAgain: false }],
    ['takes no answer for a sign of another’s token', { isTaken: true, renewsAgain: false }],
    ['hands over what rclone renewed after one that was not answered', { isTaken: true, renewsAgain: true }],
  ])('%s', async (_, { isTaken, renewsAgain }) => {
    const connection = await cloud.connect('google_drive');
    // So short that rclone renews it for itself as well.
    Object.assign(cloud.providers.google, { rotates: true, accessSeconds: renewsAgain ? 9 : 3600 });
    let said = 0;
    const isLost = (notes: Notes) => notes.connection !== undefined && ++said === 1;
    const { told, work } = await runWithout(connection, isLost, isTaken);
    await work;
    const kept = await cloud.tokenOf(connection);
    expect(cloud.providers.google.holds(kept.refresh_token)).toBe(true);
    expect(connection).toMatchObject({ status: 'active', generation: renewsAgain ? 3 : 2 });
    expect(told.notes.join('\n')).not.toContain('signed in anew');
  });
});
