import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks of /proc are hundredths of a second on all Linux machines. */
const ticksPerSecond = 100;

/** CPU seconds so far of a process's parts: its main thread, the threads named after it (the native ones), and the rest. */
export interface CpuSplit {
  readonly main: number;
  readonly native: number;
  readonly other: number;
}

/** Of a process that runs Node; threads that have ended meanwhile count for nothing but the whole. Linux only. */
export function cpuSplitOf(pid: number): CpuSplit {
  const folder = `/proc/${pid}/task`;
  const mainName = statOf(`${folder}/${pid}/stat`).name;
  let main = 0;
  let live = 0;
  let native = 0;
  for (const task of readdirSync(folder)) {
    const { name, seconds } = statOf(`${folder}/${task}/stat`);
    live += seconds;
    if (task === String(pid)) main = seconds;
    else if (name === mainName) native += seconds;
  }
  // Native threads of a session are gone when it ends: their time is in the whole alone.
  const ended = statOf(`/proc/${pid}/stat`).seconds - live;
  return { main, native: native + ended, other: live - main - native };
}

/** CPU seconds so far of a process and of its children that have ended. Linux only. */
export function cpuWithChildren(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / ticksPerSecond;
}

export function cpuBetween(before: CpuSplit, after: CpuSplit): CpuSplit {
  return { main: after.main - before.main, native: after.native - before.native, other: after.other - before.other };
}

function statOf(file: string): { name: string; seconds: number } {
  const text = readFileSync(file, 'utf8');
  const nameEnd = text.lastIndexOf(')');
  const fields = text.slice(nameEnd + 2).split(' ');
  return {
    name: text.slice(text.indexOf('(') + 1, nameEnd),
    seconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
  };
}
