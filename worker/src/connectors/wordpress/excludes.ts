/** Left out unless the source says otherwise: what is made anew by itself, and backups that other plugins keep in the site. */
export const wordpressExcludes = [
  '/wp-content/cache/',
  '/wp-content/et-cache/',
  '/wp-content/litespeed/',
  '/wp-content/upgrade/',
  '/wp-content/upgrade-temp-backup/',
  '/wp-content/updraft/',
  '/wp-content/ai1wm-backups/',
  '/wp-content/backups-dup-lite/',
  '/wp-content/backups-dup-pro/',
  '/wp-content/backup-db/',
  '/wp-content/backup-migration/',
  '/wp-content/wpvividbackups/',
  '/wp-content/uploads/backwpup-*/',
  '/wp-content/uploads/backupbuddy_backups/',
  '/wp-content/uploads/wp-migrate-db/',
  '/wp-snapshots/',
];
