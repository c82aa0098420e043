import { TargetItemError } from '../target.ts';
import { isRefusal, saidBy } from './errors.ts';

/** The server's no to one path, as the error of one path. */
export async function itemErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isRefusal(error) ? new TargetItemError(saidBy(error), { cause: error }) : error;
  }
}
