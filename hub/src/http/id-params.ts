import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';

/** Parameters of `/<objects>/:id`. */
export const idParams = z.strictObject({ id: idSchema });
