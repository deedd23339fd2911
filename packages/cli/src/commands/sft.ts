import { Command } from '@commander-js/extra-typings';
import { loadSftRecipe } from '../config/load.js';
import { display } from '../config/paths.js';
import type { Io } from '../io.js';
import { runSft } from '../sft.js';
import { defaultRunDirectory } from '../versions.js';
import { engineOption, examples, flagSettings, jsonOption, seedOption, setOption } from './options.js';

export function sftCommand(io: Io): Command {
  const command = new Command('sft')
    .description('warm a model up on worked solutions (supervised)')
    .argument('<recipe>', 'YAML file; see recipes/')
    .addOption(setOption())
    .option('--run-dir <directory>', 'run folder (default: runs/<recipe name>)')
    .addOption(seedOption())
    .addOption(engineOption())
    .addOption(jsonOption())
    .option('--overwrite', 'discard a run of another configuration')
    .addHelpText(
      'after',
      examples(
        'soft-tokens sft recipes/tiny-sft.yaml',
        'soft-tokens sft recipes/tiny-sft.yaml --set steps=100 --run-dir runs/try',
      ),
    )
    .action(async (recipe, flags) => {
      const config = await loadSftRecipe(recipe, flagSettings(flags));
      const result = await runSft(io, config, {
        directory: flags.runDir ?? defaultRunDirectory(recipe),
        overwrite: flags.overwrite === true,
      });
      if (flags.json) io.out(`${JSON.stringify(result)}\n`);
      else io.out(`${display(config.out)}: ${result.steps} steps, loss ${result.loss.toFixed(4)} nats a token\n`);
    });
  return command as unknown as Command;
}
