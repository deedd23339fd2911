import { Command } from '@commander-js/extra-typings';
import { display } from '../config/paths.js';
import type { Io } from '../io.js';
import { readSweep } from '../sweep/file.js';
import { planSweep } from '../sweep/plan.js';
import { failureOf, runSweep, statesOf } from '../sweep/run.js';
import { describeState } from '../sweep/state.js';
import { sweepText } from '../sweep/tables.js';
import { defaultRunDirectory, recipeName } from '../versions.js';
import { engineOption, examples, flagSettings, jsonOption, setOption } from './options.js';

export function sweepCommand(io: Io): Command {
  const command = new Command('sweep')
    .description('train runs of one recipe over seeds and other values, sum up')
    .argument('<sweep>', 'YAML file; see recipes/README.md')
    .option('--list', 'show the runs and how far each is, and start none')
    .addOption(setOption())
    .option('--run-dir <directory>', 'folder of the sweep (default: runs/<sweep name>)')
    .addOption(engineOption())
    .addOption(jsonOption())
    .option('--keep-going', 'go on with the next run where one fails')
    .option('--overwrite', 'discard runs of another configuration')
    .addHelpText(
      'after',
      `${examples(
        'soft-tokens sweep recipes/reproduction/seeds-easy.yaml --list',
        'soft-tokens sweep recipes/reproduction/seeds-easy.yaml --set steps=20 \\\n      --run-dir runs/try',
      )}\nThe same command goes on where an earlier one stopped, and does nothing twice,\nalso with more values in the file.\n`,
    )
    .action(async (file, flags) => {
      const directory = flags.runDir ?? defaultRunDirectory(file);
      const sweep = await readSweep(file, flagSettings(flags));
      const runs = await planSweep(sweep, directory);
      if (flags.list) {
        const states = await statesOf(runs);
        const list = states.map(({ run, state }) => ({ name: run.name, values: run.values, ...state }));
        const lines = states.map(({ run, state }) => `${run.name}  ${describeState(state)}\n`);
        return io.out(flags.json ? `${JSON.stringify({ directory, runs: list })}\n` : lines.join(''));
      }
      const options = {
        name: recipeName(file),
        directory,
        overwrite: flags.overwrite === true,
        keepGoing: flags.keepGoing === true,
      };
      const { results, failed } = await runSweep(io, sweep, runs, options);
      io.out(flags.json ? `${JSON.stringify({ directory, ...results })}\n` : `${sweepText(results)}\n`);
      io.note(`\nresults: ${display(`${directory}/results.md`)}\n`);
      if (failed.length > 0) throw failureOf(failed, runs.length);
    });
  return command as unknown as Command;
}
