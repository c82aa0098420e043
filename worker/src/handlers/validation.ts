import type { MessageId } from '@xvault/shared/events.ts';
import type { ResultInput, SpecOf } from '@xvault/shared/run-kinds.ts';
import { validateSnapshot } from '../engines/archive/validate.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { locateSnapshot } from './open-snapshot.ts';
import { statusReporter } from './progress-reporter.ts';
import { snapshotIdentities } from './snapshot-keys.ts';
import { tellValidation } from './tell-validation.ts';

const progressEventMs = 2_000;

/** Compares a snapshot with what was written, as far as the level says. */
export async function handleValidation(
  context: RunContext<'validation'>,
  deps: HandlerDeps,
): Promise<ResultInput<'validation'>> {
  return tellValidation(context, await judge(context, deps), passedMessage(context.spec));
}

async function judge(context: RunContext<'validation'>, deps: HandlerDeps): Promise<ResultInput<'validation'>> {
  const { start, spec, signal } = context;
  const report = statusReporter(context, progressEventMs);
  const found = await validateSnapshot({
    ...(await locateSnapshot(start, spec.snapshot, deps)),
    identities: spec.opened ? await snapshotIdentities(start, deps) : [],
    ref: spec.snapshot,
    level: spec.level,
    signal,
    onProgress: ({ filesChecked, ...status }) => report({ ...status, filesDone: filesChecked, filesTotal: null }),
  });
  if (found.detail !== null) context.logger.warn({ code: found.errorCode, detail: found.detail }, 'validation failed');
  const result = {
    files_checked: found.filesChecked,
    bytes_checked: found.bytesChecked,
    differing: found.differing,
    error_code: found.errorCode,
  };
  return { kind: 'validation', verdict: found.verdict, ...result, excerpt: excerptOf(spec, result) };
}

function passedMessage({ level, opened }: SpecOf<'validation'>): MessageId {
  if (level === 'quick') return 'validation_passed_quick';
  return opened ? 'validation_passed' : 'validation_passed_stored';
}

type Found = Pick<ResultInput<'validation'>, 'files_checked' | 'bytes_checked' | 'differing' | 'error_code'>;

/** Kept with the snapshot, so without names of files; those that differ stand in the run's result. */
function excerptOf({ level, opened }: SpecOf<'validation'>, found: Found): string {
  const { files_checked: files, bytes_checked: bytes, differing, error_code: code } = found;
  const extent = level === 'quick' ? 'sizes, manifest, headers and seek tables' : `${files} files, ${bytes} bytes`;
  const key = opened ? '' : '; not opened, the key is the customer’s';
  if (code === null) return `${level}: ${extent} compared, all match${key}`;
  return `${level}: ${code}; ${extent} compared, ${differing.length} entries differ${key}`;
}
