// One run at a time in a folder.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { display } from './config/paths.js';
import { usageError } from './errors.js';

/** Hidden, so that it is no part of the run. */
const LOCK = '.lock.json';

export interface FolderLock {
  addProcess(pid: number): void;
  release(): void;
}

/**
 * Takes a folder for this process. The processes of a run that was killed may take a moment to notice; they are waited
 * for, since they write there.
 *
 * @throws CliError (exit code 2) when another run is alive in it.
 */
export async function lockFolder(directory: string, patience = 20_000): Promise<FolderLock> {
  const file = join(directory, LOCK);
  const deadline = Date.now() + patience;
  let held = readHolders(file);
  if (held[0] !== undefined && isAlive(held[0])) {
    throw usageError(
      `${display(directory)}: expected a folder that no run is using, got one in use by process ${held[0]}; ` +
        `wait for it, or remove ${display(file)} if that process is something else`,
    );
  }
  while (held.some(isAlive)) {
    if (Date.now() > deadline) {
      throw usageError(
        `${display(directory)}: expected the processes ${held.filter(isAlive).join(', ')} of a run that was killed to end`,
      );
    }
    await sleep(50);
    held = held.filter(isAlive);
  }
  const processes = [process.pid];
  const write = (flag: 'w' | 'wx') => writeFileSync(file, JSON.stringify(processes), { flag });
  // What is there is of the dead. Of two that come at once one alone makes the file.
  rmSync(file, { force: true });
  try {
    write('wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw usageError(
      `${display(directory)}: expected a folder that no run is using, got one that another took just now; wait for it`,
    );
  }
  return {
    addProcess(pid) {
      processes.push(pid);
      write('w');
    },
    release: () => rmSync(file, { force: true }),
  };
}

function readHolders(file: string): number[] {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return Array.isArray(value) ? value.filter((pid) => Number.isInteger(pid) && pid !== process.pid) : [];
  } catch {
    return []; // no lock, or one cut short by a kill: nobody holds it
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
