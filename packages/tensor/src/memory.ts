// How much memory there is to take, and whether it is enough: a process that takes more than there is gets killed, by
// Linux without a word, after minutes of loading.
import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';

/** Memory that can still be taken. */
export interface FreeMemory {
  readonly bytes: number;
  /** What sets the bound: the machine's memory, a control group's limit (a container's, a batch job's) or the engine. */
  readonly of: 'machine' | 'group' | 'wasm';
}

/** A machine to look at. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  /** The text of a file, `undefined` where there is none. */
  read(file: string): string | undefined;
  total(): number;
  free(): number;
}

const thisMachine: Machine = {
  platform: process.platform,
  read(file) {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return undefined;
    }
  },
  total: totalmem,
  free: freemem,
};

/**
 * The memory that this process can still take. On Linux MemAvailable of /proc/meminfo or what the limits of its control
 * groups (version 1 and 2) leave, if that is less; files in the page cache count as free, since the kernel drops them. On
 * macOS all that the machine has: it says how much is unused, not how much it would give.
 *
 * References: proc_meminfo(5); the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 * @example freeMemory(); // { bytes: 24057676e3, of: 'machine' }
 */
export function freeMemory(machine: Machine = thisMachine): FreeMemory {
  const whole: FreeMemory = { bytes: freeOfMachine(machine), of: 'machine' };
  const groups = machine.platform === 'linux' ? groupsOf(machine) : [];
  return groups.reduce((least, bytes) => (bytes < least.bytes ? { bytes, of: 'group' } : least), whole);
}

/** Whether memory is not to be checked, whatever the machine says. */
const ignored = () => process.env.SOFT_TOKENS_IGNORE_MEMORY === '1';

/** What the heap of tfjs's WebAssembly can grow to: `getHeapMax` in tfjs-backend-wasm.js, tfjs 4.22. */
const WASM_HEAP = 4294901760;

/**
 * Throws where so much memory cannot be taken: of this machine, or of the engine's own heap. The environment variable
 * SOFT_TOKENS_IGNORE_MEMORY=1 turns it off.
 *
 * - `where`, `what`: the file and what it needs the memory for, as the error says them
 * - `bytes`: of a process; `processes`: how many of them start now, this one if only one
 *
 * @throws Error saying how much is needed, how much there is and how much is missing.
 * @example requireMemory('Qwen2.5-0.5B', '494,032,768 parameters in float32', 2e9);
 */
export function requireMemory(
  where: string,
  what: string,
  bytes: number,
  { processes = 1, machine = thisMachine }: { processes?: number; machine?: Machine } = {},
): void {
  if (ignored()) return;
  const free = freeMemory(machine);
  const engine: FreeMemory = { bytes: WASM_HEAP - tf.memory().numBytes, of: 'wasm' };
  const heap = tf.getBackend() === 'wasm' ? engine : undefined;
  const short = heap && !(bytes <= heap.bytes) ? heap : !(processes * bytes <= free.bytes) ? free : undefined;
  if (!short) return;
  const need = short === heap ? bytes : processes * bytes;
  const missing = formatBytes(need - short.bytes);
  const cure = {
    machine: `free ${missing}`,
    group: `raise the memory limit of the container or control group by ${missing}`,
    wasm: 'choose the engine native: that of WebAssembly holds 4 GB at most',
  }[short.of];
  throw new Error(
    `${where}: expected about ${formatBytes(need)} of free memory for ${what}, got ${formatBytes(short.bytes)}; ` +
      `${cure}, take a smaller model, or try all the same with SOFT_TOKENS_IGNORE_MEMORY=1`,
  );
}

/**
 * Bytes for a reader, in powers of ten.
 *
 * @example formatBytes(2.04e9); // '2.0 GB'
 */
export function formatBytes(bytes: number): string {
  const size = Math.max(0, bytes);
  return size < 1e9 ? `${Math.ceil(size / 1e6)} MB` : `${(size / 1e9).toFixed(1)} GB`;
}

function freeOfMachine({ platform, read, total, free }: Machine): number {
  if (platform === 'darwin') return total();
  const available =
    platform === 'linux' ? /^MemAvailable:\s+(\d+) kB$/m.exec(read('/proc/meminfo') ?? '')?.[1] : undefined;
  return available === undefined ? free() : 1024 * Number(available);
}

/** Where a version of control groups is mounted, and what it calls a limit and what counts towards it. */
const versions = [
  {
    mounts: ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'],
    holds: (controllers: string[]) => controllers.length === 1 && controllers[0] === '',
    limit: 'memory.max',
    usage: 'memory.current',
    files: /^(?:in)?active_file (\d+)$/gm,
  },
  {
    mounts: ['/sys/fs/cgroup/memory'],
    holds: (controllers: string[]) => controllers.includes('memory'),
    limit: 'memory.limit_in_bytes',
    usage: 'memory.usage_in_bytes',
    files: /^total_(?:in)?active_file (\d+)$/gm,
  },
] as const;

/** What the limit of each group that the process is in leaves. */
function groupsOf({ read }: Machine): number[] {
  const found: number[] = [];
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, , controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const { mounts, holds, limit, usage, files } of versions) {
      if (!holds(controllers.split(','))) continue;
      for (const directory of mounts.flatMap((mount) => ancestors(path).map((group) => join(mount, group)))) {
        const most = Number.parseInt(read(join(directory, limit)) ?? '', 10); // 'max' where there is none
        const taken = Number.parseInt(read(join(directory, usage)) ?? '', 10);
        if (!(most >= 0) || !(taken >= 0)) continue;
        const cached = [...(read(join(directory, 'memory.stat')) ?? '').matchAll(files)];
        const dropped = cached.reduce((sum, [, bytes]) => sum + Number(bytes), 0);
        found.push(Math.max(0, most - Math.max(0, taken - dropped)));
      }
    }
  }
  return found;
}

/** A group and those it is in. In a container the path may be the host's, whose innermost group is the mount's root. */
function ancestors(path: string): string[] {
  return path === '/' ? ['/'] : [path, ...ancestors(dirname(path))];
}
