import { Command } from '@commander-js/extra-typings';
import { loadTrainRecipe } from '../config/load.js';
import { display } from '../config/paths.js';
import type { Io } from '../io.js';
import { resultText, runTraining } from '../run.js';
import { defaultRunDirectory } from '../versions.js';
import { engineOption, examples, flagSettings, jsonOption, loraOption, seedOption, setOption } from './options.js';

export function trainCommand(io: Io): Command {
  const command = new Command('train')
    .description('train a model in each mode by reinforcement, evaluate, report')
    .argument('<recipe>', 'YAML file; see recipes/')
    .addOption(setOption())
    .addOption(loraOption())
    .option('--run-dir <directory>', 'run folder (default: runs/<recipe name>)')
    .addOption(seedOption())
    .addOption(engineOption())
    .addOption(jsonOption())
    .option('--overwrite', 'discard a run of another configuration')
    .addHelpText(
      'after',
      `${examples(
        'soft-tokens train recipes/demo.yaml',
        "soft-tokens train recipes/demo.yaml --set steps=20 --set 'modes=[soft]' \\\n      --run-dir runs/try",
        'soft-tokens train recipes/gsm8k.yaml --set model=MODEL \\\n      --set data.train=train.jsonl.gz --set data.test=test.jsonl',
        'soft-tokens train recipes/demo.yaml --lora r=16,alpha=32 --run-dir runs/lora',
      )}\nThe same command goes on where an earlier one stopped, and does nothing twice.\n`,
    )
    .action(async (recipe, flags) => {
      const config = await loadTrainRecipe(recipe, flagSettings(flags));
      const directory = flags.runDir ?? defaultRunDirectory(recipe);
      const results = await runTraining(io, config, { directory, overwrite: flags.overwrite === true });
      if (flags.json) return io.out(`${JSON.stringify({ directory, ...results })}\n`);
      io.out(`${resultText(results, io.colors.out)}\n`);
      io.note(`\nreport: ${display(`${directory}/report.html`)}\n`);
    });
  return command as unknown as Command;
}
