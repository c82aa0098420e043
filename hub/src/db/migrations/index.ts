import type { Migration } from 'kysely/migration';
import * as first from './0001-first.ts';
import * as scheduling from './0002-scheduling.ts';
import * as listsAndDeletions from './0003-lists-and-deletions.ts';
import * as archiveEngine from './0004-archive-engine.ts';
import * as sync from './0005-sync.ts';
import * as placement from './0006-placement.ts';
import * as unsavedSources from './0007-unsaved-sources.ts';
import * as cleanUpAndLists from './0008-clean-up-and-lists.ts';

/** All migrations by name, in order. A published one is never changed. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-first': first,
  '0002-scheduling': scheduling,
  '0003-lists-and-deletions': listsAndDeletions,
  '0004-archive-engine': archiveEngine,
  '0005-sync': sync,
  '0006-placement': placement,
  '0007-unsaved-sources': unsavedSources,
  '0008-clean-up-and-lists': cleanUpAndLists,
};
