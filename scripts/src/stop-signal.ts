export interface StopSignal {
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  /** Resolves then. */
  readonly asked: Promise<void>;
  /** The first of the works to settle, or a rejection when the user asks to stop first. */
  race<T>(...works: Promise<T>[]): Promise<T>;
}

/** Turns signals into one orderly stop; further ones change nothing, so that two Ctrl-C do not leave things behind. */
export function stopSignal(): StopSignal {
  const controller = new AbortController();
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      controller.abort(new Error(`stopped by ${name}`));
      resolve();
    });
  }
  const stopped = asked.then((): never => {
    throw controller.signal.reason;
  });
  stopped.catch(() => undefined);
  return { signal: controller.signal, asked, race: (...works) => Promise.race([stopped, ...works]) };
}
