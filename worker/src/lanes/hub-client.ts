import {
  claimResponse,
  enrolResponse,
  type FinishRequestInput,
  finishResponse,
  type HeartbeatRequest,
  heartbeatResponse,
  type NotesRequest,
  notesResponse,
  type RegisterRequest,
  registerResponse,
  type StartRequest,
  startResponse,
  storageLiveResponse,
} from '@xvault/shared/internal-api.ts';
import { z } from 'zod';
import { HttpPoster, type PostAnswer } from './http-post.ts';

/** The Hub answered and said no: asking again will not help. */
export class HubRefused extends Error {
  override readonly name = 'HubRefused';
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, what: string) {
    super(`the Hub refused ${what}: ${status} ${code}`);
    this.status = status;
    this.code = code;
  }
}

/** No usable answer: asking again may help. */
export class HubUnreachable extends Error {
  override readonly name = 'HubUnreachable';
}

const problem = z.object({ code: z.string() });
const requestTimeoutMs = 20_000;

/** The worker's side of the Hub's internal API. Each call is one try; throws HubRefused or HubUnreachable. */
export class HubClient {
  readonly #poster: HttpPoster;
  readonly #basePath: string;
  #token = '';

  constructor(hubUrl: string) {
    this.#poster = new HttpPoster(hubUrl);
    this.#basePath = `${new URL(hubUrl).pathname.replace(/\/+$/, '')}/internal/v1`;
  }

  useToken(token: string): void {
    this.#token = token;
  }

  async enrol(enrolmentToken: string, workerId: string, name: string): Promise<string> {
    const body = { worker_id: workerId, name };
    return (await this.#post('/workers/enrol', body, enrolResponse, { token: enrolmentToken })).worker_token;
  }

  register(body: RegisterRequest): Promise<z.infer<typeof registerResponse>> {
    return this.#post('/workers/register', body, registerResponse);
  }

  start(runId: string, body: StartRequest): Promise<z.infer<typeof startResponse>> {
    return this.#post(`/runs/${runId}/start`, body, startResponse);
  }

  heartbeat(body: HeartbeatRequest, timeoutMs: number): Promise<z.infer<typeof heartbeatResponse>> {
    return this.#post('/heartbeat', body, heartbeatResponse, { timeoutMs });
  }

  finish(runId: string, body: FinishRequestInput): Promise<z.infer<typeof finishResponse>> {
    return this.#post(`/runs/${runId}/finish`, body, finishResponse);
  }

  notes(runId: string, body: NotesRequest): Promise<z.infer<typeof notesResponse>> {
    return this.#post(`/runs/${runId}/notes`, body, notesResponse);
  }

  storageLive(
    workerId: string,
    items: { snapshot_id: string; epoch: number | null }[],
    shared = false,
  ): Promise<z.infer<typeof storageLiveResponse>> {
    return this.#post('/storage/live', { worker_id: workerId, items, shared }, storageLiveResponse);
  }

  /** `consume: false` only asks what the link would give. */
  claimExport(
    exportId: string,
    workerId: string,
    linkToken: string,
    { consume = true } = {},
  ): Promise<z.infer<typeof claimResponse>> {
    const body = { worker_id: workerId, link_token: linkToken, consume };
    return this.#post(`/exports/${exportId}/claim`, body, claimResponse);
  }

  async #post<T>(
    path: string,
    body: unknown,
    schema: z.ZodType<T>,
    options: { token?: string; timeoutMs?: number } = {},
  ): Promise<T> {
    let answer: PostAnswer;
    try {
      answer = await this.#poster.post({
        path: this.#basePath + path,
        body: JSON.stringify(body),
        token: options.token ?? this.#token,
        timeoutMs: Math.floor(options.timeoutMs ?? requestTimeoutMs),
      });
    } catch (cause) {
      throw new HubUnreachable(`no answer from the Hub to ${path}`, { cause });
    }
    const { status } = answer;
    // A redirect is the word of something that stands before the Hub.
    if (status >= 500 || status === 429 || (status >= 300 && status < 400)) {
      throw new HubUnreachable(`the Hub answered ${status} to ${path}`);
    }
    const json = parseJson(answer.body, path);
    if (status >= 400) throw new HubRefused(status, problem.safeParse(json).data?.code ?? 'UNKNOWN', path);
    const parsed = schema.safeParse(json);
    if (!parsed.success) throw new HubUnreachable(`the Hub's answer to ${path} was not understood`);
    return parsed.data;
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HubUnreachable(`the Hub's answer to ${path} is not JSON`, { cause });
  }
}
