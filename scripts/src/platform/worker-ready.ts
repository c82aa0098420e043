import { z } from 'zod';
import type { ApiClient } from '../api/client.ts';

const workerList = z.object({
  items: z.array(z.object({ status: z.string(), registered_at: z.string().nullable() })),
});

/** Whether a worker has registered with the Hub since then, as the operator's list of workers shows it. */
export async function workerIsReady(api: ApiClient, sinceMs: number): Promise<boolean> {
  const { items } = await api.get('/api/v1/workers', workerList);
  return items.some(
    (worker) =>
      worker.status === 'active' && worker.registered_at !== null && Date.parse(worker.registered_at) >= sinceMs,
  );
}
