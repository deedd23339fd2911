// A process that does tasks for a run, until the run tells it to stop or is gone.
import { startEngine } from '../engine.js';
import { CliError, messageOf } from '../errors.js';
import { createExecutor } from './execute.js';
import type { WorkerReply, WorkerRequest } from './protocol.js';
import type { Task } from './tasks.js';

const controller = new AbortController();
const reply = (message: WorkerReply) => void process.send?.(message);
let execute: ((task: Task) => Promise<void>) | undefined;

// A terminal's Ctrl-C, and a signal to the group, reach every process of the run; the run itself tells its workers what
// to do.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit(1));

process.on('message', (request: WorkerRequest) => {
  handle(request).catch((error: unknown) => {
    const exitCode = error instanceof CliError ? error.exitCode : 1;
    reply({
      type: 'failed',
      message: messageOf(error),
      stack: error instanceof Error ? error.stack : undefined,
      exitCode,
    });
  });
});

async function handle(request: WorkerRequest): Promise<void> {
  switch (request.type) {
    case 'start': {
      const { config, directory, shared, engine, threads } = request;
      await startEngine(engine, threads);
      execute = createExecutor({
        config,
        directory,
        shared,
        signal: controller.signal,
        emit: (event) => reply({ type: 'event', event }),
      });
      return reply({ type: 'ready' });
    }
    case 'task':
      if (!execute) throw new Error('worker: expected to be started before its first task');
      await execute(request.task);
      return reply({ type: 'done' });
    case 'abort':
      controller.abort();
  }
}
