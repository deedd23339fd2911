// What goes wrong, and with which exit code a command ends.

/** 0 ok, 1 failure, 2 usage or bad configuration, 130 interrupted by SIGINT, 143 ended by SIGTERM. */
export type ExitCode = 0 | 1 | 2 | 130 | 143;

/** An error meant for the reader of the terminal: its message is printed alone, without a stack. */
export class CliError extends Error {
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}

/** A wrong flag, argument or configuration. */
export function usageError(message: string, options?: ErrorOptions): CliError {
  return new CliError(message, 2, options);
}

/** The reason a command is aborted with after a signal: exit code 128 + the signal's number, as in a shell. */
export class Interrupted extends CliError {
  constructor(signal: 'SIGINT' | 'SIGTERM') {
    const interrupted = signal === 'SIGINT';
    super(interrupted ? 'interrupted' : 'terminated', interrupted ? 130 : 143);
    this.name = 'Interrupted';
  }
}

/** What went wrong, for a reader. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Only WebAssembly throws errors of this name: tfjs's does where it cannot allocate, and says "Aborted()" of it.
  if (error.name !== 'RuntimeError') return error.message;
  return (
    `engine wasm: expected memory for another tensor, got ${JSON.stringify(error.message)}: most likely its 4 GB are ` +
    'used up; choose the engine native, take a smaller model, or let an update hold less: recompute, maxTokens'
  );
}

/** The message alone; with the environment variable DEBUG the stack too, which is for those who mend it. */
export function describeError(error: unknown): string {
  return process.env.DEBUG && error instanceof Error && error.stack ? error.stack : messageOf(error);
}

/** Whether a system call failed because there was no such file. */
export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === 'ENOENT';
}
