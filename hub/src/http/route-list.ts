import type { FastifyInstance } from 'fastify';

export interface RouteEntry {
  readonly method: string;
  /** With its parameters: `/api/v1/runs/:id`. */
  readonly url: string;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Every route registered so far. */
    readonly routeList: readonly RouteEntry[];
  }
}

/** Keeps a list of the routes registered from now on. */
export function keepRouteList(app: FastifyInstance): void {
  const list: RouteEntry[] = [];
  app.decorate('routeList', list);
  app.addHook('onRoute', ({ method, url }) => {
    for (const name of [method].flat()) list.push({ method: name, url });
  });
}

/** Methods that some route takes at this path. */
export function methodsAt(routes: readonly RouteEntry[], path: string): string[] {
  const parts = path.split('/');
  const fitting = routes.filter(({ url }) => {
    const pattern = url.split('/');
    return pattern.length === parts.length && pattern.every((part, at) => part.startsWith(':') || part === parts[at]);
  });
  return [...new Set(fitting.map((route) => route.method))];
}
