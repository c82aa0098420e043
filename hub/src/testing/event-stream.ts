export interface StreamEvent {
  readonly event: string;
  readonly id: number | undefined;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface EventStream {
  readonly status: number;
  /** The next event; undefined when the server has ended the stream. */
  next(): Promise<StreamEvent | undefined>;
  /** All to the end. */
  rest(): Promise<StreamEvent[]>;
  /** Goes away, as a client that is closed. */
  leave(): void;
}

/** Reads server-sent events over a real connection. */
export async function openEventStream(url: string, token: string, lastEventId?: number): Promise<EventStream> {
  const gone = new AbortController();
  const response = await fetch(url, {
    headers: {
      authorization: `Bearer ${token}`,
      ...(lastEventId === undefined ? {} : { 'last-event-id': String(lastEventId) }),
    },
    signal: gone.signal,
  });
  const frames = parse(response);
  return {
    status: response.status,
    next: async () => (await frames.next()).value ?? undefined,
    async rest() {
      const events: StreamEvent[] = [];
      for await (const event of frames) events.push(event);
      return events;
    },
    leave: () => gone.abort(),
  };
}

async function* parse(response: Response): AsyncGenerator<StreamEvent, undefined> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    const frames = text.split('\n\n');
    text = frames.pop() ?? '';
    for (const frame of frames) {
      const fields = new Map(
        frame.split('\n').map((line) => [line.split(': ', 1)[0], line.slice(line.indexOf(': ') + 2)]),
      );
      const event = fields.get('event');
      const id = fields.get('id');
      const data = JSON.parse(fields.get('data') ?? '{}');
      if (event !== undefined) yield { event, id: id === undefined ? undefined : Number(id), data };
    }
  }
  return undefined;
}
