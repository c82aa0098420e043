import { type ErrorCode, errorCatalogue } from '@xvault/shared/errors.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { validateSnapshot } from '../engines/archive/validate.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { accessSnapshot } from './open-snapshot.ts';
import { statusReporter } from './progress-reporter.ts';

const progressEventMs = 2_000;

/** Reads a snapshot back from its first to its last byte and compares it with what was written. */
export async function handleValidation(
  context: RunContext<'validation'>,
  deps: HandlerDeps,
): Promise<ResultInput<'validation'>> {
  const result = await judge(context, deps);
  const passed = result.verdict === 'success';
  const sentence = result.error_code === null ? '' : errorCatalogue[result.error_code as ErrorCode].sentence;
  context.emit({
    type: passed ? 'summary' : 'error',
    level: passed ? 'info' : 'error',
    code: result.error_code ?? 'VALIDATION_PASSED',
    message_id: passed ? 'validation_passed' : 'validation_failed',
    params: { files: result.files_checked, bytes: result.bytes_checked, sentence },
  });
  return result;
}

async function judge(context: RunContext<'validation'>, deps: HandlerDeps): Promise<ResultInput<'validation'>> {
  const { start, spec, signal } = context;
  const report = statusReporter(context, progressEventMs);
  const found = await validateSnapshot({
    ...(await accessSnapshot(start, spec.snapshot, deps)),
    ref: spec.snapshot,
    signal,
    onProgress: ({ filesChecked, ...status }) => report({ ...status, filesDone: filesChecked, filesTotal: null }),
  });
  if (found.detail !== null) context.logger.warn({ code: found.errorCode, detail: found.detail }, 'validation failed');
  return {
    kind: 'validation',
    verdict: found.verdict,
    files_checked: found.filesChecked,
    bytes_checked: found.bytesChecked,
    differing: found.differing,
    error_code: found.errorCode,
  };
}
