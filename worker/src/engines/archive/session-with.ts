import type { SourceSession } from '../../connectors/connector.ts';

/** The session with some of its methods replaced; all others, also those of a later version of it, stay as they are. */
export function sessionWith(session: SourceSession, replaced: Partial<SourceSession>): SourceSession {
  return new Proxy(session, {
    get(target, name) {
      if (Object.hasOwn(replaced, name)) return Reflect.get(replaced, name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    has: (target, name) => Object.hasOwn(replaced, name) || Reflect.has(target, name),
  });
}
