// A runner that is a process of its own.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CliError, type ExitCode } from '../errors.js';
import type { WorkerReply, WorkerRequest } from './protocol.js';
import type { Runner } from './scheduler.js';
import type { Task, TaskEvent } from './tasks.js';

export interface ChildRunner extends Runner<Task> {
  readonly pid: number;
  /** Stops the task at its next pause. */
  abort(): void;
  /** Ends the process. */
  close(): void;
}

/** Starts a worker process. Throws CliError when it does not come up. */
export async function startChild(
  start: Extract<WorkerRequest, { type: 'start' }>,
  onEvent: (event: TaskEvent) => void,
): Promise<ChildRunner> {
  // Standard output belongs to results alone, so the child's goes to standard error.
  const child = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), { stdio: ['ignore', 2, 2, 'ipc'] });
  child.on('message', (message: WorkerReply) => {
    if (message.type === 'event') onEvent(message.event);
  });
  const send = (request: WorkerRequest) => {
    if (child.connected) child.send(request);
  };
  await ask(child, () => send(start));
  return {
    pid: child.pid!,
    run: (task) => ask(child, () => send({ type: 'task', task })),
    abort: () => send({ type: 'abort' }),
    // Workers leave other signals to the run. Whatever they write is whole or not there.
    close: () => child.kill('SIGKILL'),
  };
}

/** Sends a request and waits for what ends it: `ready`, `done`, `failed`, or the death of the process. */
function ask(child: ChildProcess, send: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: WorkerReply) => {
      if (message.type === 'event') return;
      settle();
      if (message.type === 'failed') reject(failure(message));
      else resolve();
    };
    const onExit = (code: number | null, signal: NodeJS.Signals | null) => {
      settle();
      reject(new CliError(`worker ${child.pid}: expected to finish its task, got ${signal ?? `exit code ${code}`}`));
    };
    const settle = () => {
      child.off('message', onMessage);
      child.off('exit', onExit);
    };
    child.on('message', onMessage);
    child.on('exit', onExit);
    if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode, child.signalCode);
    else send();
  });
}

function failure({ message, stack, exitCode }: Extract<WorkerReply, { type: 'failed' }>): CliError {
  const error = new CliError(message, exitCode as ExitCode);
  if (stack) error.stack = stack;
  return error;
}
