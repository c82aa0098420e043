import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiAnswer, type ApiClient, operatorClient, tenantClient } from '../testing/api-client.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

const daily = { type: 'daily', time: '02:30' };

describe('schedules by the API', () => {
  let hub: TestHub;
  let owner: ApiClient;
  let stranger: ApiClient;
  let objects: { source_id: unknown; destination_id: unknown };

  beforeAll(async () => {
    hub = await startTestHub();
    const operator = await operatorClient(hub);
    const tenant = await tenantClient(hub, operator, 'acme', ['/srv']);
    owner = tenant.client;
    stranger = (await tenantClient(hub, operator, 'other')).client;
    await hub.db.updateTable('tenants').set({ timezone: 'Europe/Berlin' }).where('id', '=', tenant.tenantId).execute();
    const source = await owner('POST', '/api/v1/sources', { type: 'local', name: 's', config: { path: '/srv' } });
    const destination = await owner('POST', '/api/v1/destinations', { type: 'local_fs', name: 'd', config: {} });
    objects = { source_id: source.body.id, destination_id: destination.body.id };
  });
  afterAll(() => hub?.close());

  const create = (schedule?: unknown) =>
    owner('POST', '/api/v1/jobs', { name: 'job', ...objects, ...(schedule === undefined ? {} : { schedule }) });
  const errorsOf = ({ body }: ApiAnswer) => body.errors;
  const firesOf = ({ body }: ApiAnswer) => body.fires as Record<string, string>[];

  it('a job has a manual one unless it is given another', async () => {
    expect(await create()).toMatchObject({ status: 201, body: { schedule: { type: 'manual' }, next_run_at: null } });
  });

  it('is completed, with the time zone of the tenant, and says when the job is next', async () => {
    const { status, body } = await create(daily);
    expect(status).toBe(201);
    expect(body.schedule).toEqual({
      ...daily,
      timezone: 'Europe/Berlin',
      jitter_seconds: 0,
      blackout: [],
      catch_up: 'skip',
      start_deadline_minutes: null,
      overlap: 'skip',
    });
    const preview = await owner('GET', `/api/v1/jobs/${body.id}/schedule/preview`);
    expect(preview.status).toBe(200);
    expect(firesOf(preview)).toHaveLength(10);
    expect(firesOf(preview)[0]).toMatchObject({ scheduled_for: body.next_run_at, fires_at: body.next_run_at });
    for (const fire of firesOf(preview)) {
      expect(fire.local).toMatch(/^\d{4}-\d\d-\d\dT0[23]:[03]0:00\+0[12]:00$/);
      expect(Date.parse(fire.local ?? '')).toBe(Date.parse(fire.scheduled_for ?? ''));
    }
  });

  it('is left out of account while the job is paused, and reckoned anew when it is resumed or changed', async () => {
    const { body: job } = await create({ ...daily, timezone: 'UTC' });
    const url = `/api/v1/jobs/${job.id}`;
    expect(await owner('PATCH', url, { status: 'paused' })).toMatchObject({ body: { next_run_at: null } });
    expect(await owner('PATCH', url, { schedule: { ...daily, timezone: 'Asia/Tokyo' } })).toMatchObject({
      body: { next_run_at: null, schedule: { timezone: 'Asia/Tokyo' } },
    });
    const resumed = await owner('PATCH', url, { status: 'active' });
    expect(String(resumed.body.next_run_at)).toMatch(/T17:30:00\.000Z$/);
    const changed = await owner('PATCH', url, { schedule: { type: 'cron', expression: '15 * * * *' } });
    expect(String(changed.body.next_run_at)).toMatch(/:15:00\.000Z$/);
    expect(await owner('PATCH', url, { schedule: { type: 'manual' } })).toMatchObject({ body: { next_run_at: null } });
  });

  it('a change that leaves schedule and status as they are does not touch the next run', async () => {
    const { body: job } = await create({ ...daily, timezone: 'UTC' });
    const pending = '2026-01-01T00:00:00.000Z';
    const id = String(job.id);
    await hub.db.updateTable('jobs').set({ next_run_at: pending }).where('id', '=', id).execute();
    const same = { name: 'renamed', status: 'active', schedule: job.schedule };
    expect(await owner('PATCH', `/api/v1/jobs/${id}`, same)).toMatchObject({ body: { next_run_at: pending } });
  });

  it('is refused with the field that is wrong', async () => {
    expect(errorsOf(await create({ type: 'cron', expression: '0 0 30 2 *' }))).toEqual([
      { path: 'schedule.expression', message: 'names a date that never comes' },
    ]);
    expect(errorsOf(await create({ ...daily, timezone: 'Nowhere' }))).toMatchObject([{ path: 'schedule.timezone' }]);
    expect(await create({ ...daily, extra: 1 })).toMatchObject({ status: 400 });
  });

  it('can be previewed before it is saved', async () => {
    const schedule = { type: 'cron', expression: '*/30 * * * *', jitter_seconds: 60 };
    const answer = await owner('POST', '/api/v1/schedules/preview', { schedule, count: 3 });
    expect(answer).toMatchObject({ status: 200, body: { schedule: { ...schedule, timezone: 'Europe/Berlin' } } });
    const [first, second, third] = firesOf(answer).map((fire) => Date.parse(fire.scheduled_for ?? ''));
    expect([(second ?? 0) - (first ?? 0), (third ?? 0) - (second ?? 0)]).toEqual([1_800_000, 1_800_000]);
    expect(firesOf(answer).map((fire) => fire.fires_at)).toEqual([null, null, null]);
    expect(await owner('POST', '/api/v1/schedules/preview', { schedule, count: 51 })).toMatchObject({ status: 400 });
  });

  it('of another tenant’s job is not there', async () => {
    const { body } = await create(daily);
    const answer = await stranger('GET', `/api/v1/jobs/${body.id}/schedule/preview?count=3`);
    expect(answer).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
  });

  it('a deleted job has no next run', async () => {
    const { body } = await create(daily);
    await owner('DELETE', `/api/v1/jobs/${body.id}`);
    const row = await hub.db.selectFrom('jobs').select('next_run_at').where('id', '=', String(body.id)).execute();
    expect(row).toEqual([{ next_run_at: null }]);
  });
});
