/** A file as Drive v3 describes it. */
export interface DriveFile {
  readonly id: string;
  readonly name: string;
  readonly mimeType: string;
  readonly parents: readonly string[];
  readonly modifiedTime: string;
  readonly trashed: boolean;
  readonly driveId: string | null;
  readonly content: Buffer | null;
}

type Test = (file: DriveFile) => boolean;

/** The `q` of files.list, as far as it is about names, kinds and parents. Throws on what it does not know. Source: "Search query terms". */
export function parseDriveQuery(text: string): Test {
  const tokens = text.match(/'(?:\\.|[^'\\])*'|[()]|!=|=|[A-Za-z.]+/g) ?? [];
  let at = 0;
  const take = (wanted?: string): string => {
    const token = tokens[at];
    if (token === undefined || (wanted !== undefined && token !== wanted)) throw new Error(`bad query: ${text}`);
    at += 1;
    return token;
  };
  const literal = (token: string) => token.slice(1, -1).replace(/\\(.)/g, '$1');

  function anyOf(): Test {
    const tests = [allOf()];
    while (tokens[at] === 'or') {
      take('or');
      tests.push(allOf());
    }
    return (file) => tests.some((test) => test(file));
  }
  function allOf(): Test {
    const tests = [one()];
    while (tokens[at] === 'and') {
      take('and');
      tests.push(one());
    }
    return (file) => tests.every((test) => test(file));
  }
  function one(): Test {
    const token = take();
    if (token === '(') {
      const inner = anyOf();
      take(')');
      return inner;
    }
    if (token === 'not') {
      const inner = one();
      return (file) => !inner(file);
    }
    if (token.startsWith("'")) {
      take('in');
      take('parents');
      return ({ parents }) => parents.includes(literal(token));
    }
    return compare(token, take(), take());
  }
  function compare(field: string, operator: string, value: string): Test {
    const isEqual = equals(field, value.startsWith("'") ? literal(value) : value);
    if (operator === '=') return isEqual;
    if (operator === '!=') return (file) => !isEqual(file);
    throw new Error(`bad operator ${operator}: ${text}`);
  }
  function equals(field: string, value: string): Test {
    switch (field) {
      case 'name':
        return ({ name }) => name === value;
      case 'mimeType':
        return ({ mimeType }) => mimeType === value;
      case 'trashed':
        return ({ trashed }) => String(trashed) === value;
      default:
        throw new Error(`unknown field ${field}: ${text}`);
    }
  }

  const test = anyOf();
  if (at !== tokens.length) throw new Error(`bad query: ${text}`);
  return test;
}
