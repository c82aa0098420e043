import { readdirSync, readFileSync } from 'node:fs';

export interface SeenProcess {
  readonly pid: number;
  readonly parent: number;
  /** Arguments, separated by blanks. */
  readonly commandLine: string;
}

/** Children of a process and theirs (Linux). */
export function descendantsOf(pid: number): SeenProcess[] {
  const all = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (look(Number(name)) ?? []) : []));
  const found: SeenProcess[] = [];
  const visit = (parent: number) => {
    for (const child of all.filter((candidate) => candidate.parent === parent)) {
      found.push(child);
      visit(child.pid);
    }
  };
  visit(pid);
  return found;
}

/** A process may end between its listing and this. */
function look(pid: number): SeenProcess | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    return { pid, parent, commandLine };
  } catch {
    return undefined;
  }
}

export function isAlive(pid: number): boolean {
  const stat = look(pid);
  return stat !== undefined && stat.commandLine !== '';
}
