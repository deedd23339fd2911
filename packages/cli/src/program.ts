// The command line: which commands there are, and what their outcome is as an exit code.
import { Command, CommanderError } from '@commander-js/extra-typings';
import { benchCommand } from './commands/bench.js';
import { doctorCommand } from './commands/doctor.js';
import { evalCommand } from './commands/eval.js';
import { exportCommand } from './commands/export.js';
import { generateCommand } from './commands/generate.js';
import { mergeCommand } from './commands/merge.js';
import { pullCommand } from './commands/pull.js';
import { reportCommand } from './commands/report.js';
import { scoreCommand } from './commands/score.js';
import { sftCommand } from './commands/sft.js';
import { sweepCommand } from './commands/sweep.js';
import { trainCommand } from './commands/train.js';
import { CliError, describeError, type ExitCode, Interrupted } from './errors.js';
import type { Io } from './io.js';
import { version } from './versions.js';

/** The whole command line over given streams. */
export function createProgram(io: Io): Command {
  const program: Command = new Command('soft-tokens')
    .description('Train language models to think in hard, soft or fuzzy tokens, and measure it.')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: io.out,
      writeErr: io.note,
      getOutHelpWidth: () => 80,
      getErrHelpWidth: () => 80,
      outputError: (text, write) => write(io.colors.note.red(text)),
    })
    // Without "[options]", so that the list fits 80 columns.
    .configureHelp({
      subcommandTerm: (command) =>
        `${command.name()} ${command.registeredArguments.map((argument) => `<${argument.name()}>`).join(' ')}`.trim(),
    })
    .showHelpAfterError('(--help shows the usage)')
    .addHelpText(
      'after',
      '\nExit codes: 0 ok, 1 failure, 2 usage or configuration, 130 interrupted, 143\nterminated.\nNO_COLOR switches colours off; DEBUG=1 shows the stack of an error.',
    ) as Command;
  for (const make of [
    trainCommand,
    sweepCommand,
    reportCommand,
    sftCommand,
    evalCommand,
    generateCommand,
    scoreCommand,
    mergeCommand,
    exportCommand,
    benchCommand,
    pullCommand,
    doctorCommand,
  ]) {
    program.addCommand(make(io).copyInheritedSettings(program));
  }
  return program;
}

/**
 * Runs one command line and returns its exit code; errors are printed, not thrown.
 *
 * - `argv`: the arguments after the program's name
 *
 * @example process.exitCode = await run(['doctor'], processIo(new AbortController().signal));
 */
export async function run(argv: readonly string[], io: Io): Promise<ExitCode> {
  try {
    await createProgram(io).parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    // commander has printed its message already; help and version end with code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const reason = io.signal.aborted ? io.signal.reason : error;
    const cure = reason instanceof Interrupted ? goesOn(argv[0]) : '';
    io.note(`${io.colors.note.red('error:')} ${describeError(reason)}${cure}\n`);
    return reason instanceof CliError ? reason.exitCode : 1;
  }
}

/** What the same command does after an interruption, where it does not begin anew. */
function goesOn(command: string | undefined): string {
  if (command === 'train' || command === 'sft' || command === 'sweep')
    return '; the same command goes on from the last checkpoint';
  if (command === 'eval') return '; the same command goes on after the last question';
  return command === 'pull' ? '; the same command goes on from what came' : '';
}
