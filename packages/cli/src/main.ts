import { type ExitCode, Interrupted } from './errors.js';
import { processIo } from './io.js';
import { run } from './program.js';

/**
 * Runs one command line on the process's own streams and returns its exit code.
 *
 * The first SIGINT or SIGTERM stops the command at its next pause, nothing half-written; a second one ends the process
 * at once.
 *
 * - `argv`: the arguments after the program's name
 *
 * @example process.exitCode = await main(['doctor', '--json']);
 */
export async function main(argv: readonly string[]): Promise<ExitCode> {
  const controller = new AbortController();
  const stop = (signal: 'SIGINT' | 'SIGTERM') => {
    const reason = new Interrupted(signal);
    if (controller.signal.aborted) process.exit(reason.exitCode);
    controller.abort(reason);
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, stop);
  try {
    return await run(argv, processIo(controller.signal));
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}
