import { type ErrorCode, errorCatalogue } from '@xvault/shared/errors.ts';
import type { MessageId } from '@xvault/shared/events.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import type { RunContext } from './handler.ts';

/** Tells the customer the verdict; `passedMessage` says of a good one what was looked at. Gives the result as it is. */
export function tellValidation(
  { emit }: Pick<RunContext<'validation'>, 'emit'>,
  result: ResultInput<'validation'>,
  passedMessage: MessageId,
): ResultInput<'validation'> {
  const { verdict, error_code: code, files_checked: files, bytes_checked: bytes } = result;
  const passed = verdict === 'success';
  const sentence = code === null ? '' : errorCatalogue[code as ErrorCode].sentence;
  emit({
    type: passed ? 'summary' : 'error',
    level: passed ? 'info' : 'error',
    code: code ?? 'VALIDATION_PASSED',
    message_id: passed ? passedMessage : 'validation_failed',
    params: { files, bytes, sentence },
  });
  return result;
}
