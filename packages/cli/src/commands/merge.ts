import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import { loadAdapter, mergeLora, saveModel } from '@soft-tokens/models';
import { display } from '../config/paths.js';
import { startEngine } from '../engine.js';
import { usageError } from '../errors.js';
import type { Io } from '../io.js';
import { modelHelp, openSubject } from '../subject.js';
import { engineOption, examples, jsonOption } from './options.js';

export function mergeCommand(io: Io): Command {
  const command = new Command('merge')
    .description('make one model of a model and its LoRA adapter')
    .argument('<model>', modelHelp)
    .argument('<adapter>', 'directory with adapter_config.json, from here or PEFT')
    .requiredOption('--out <directory>', 'model directory to write')
    .addOption(
      new Option('--dtype <format>', 'format of the weights')
        .choices(['F32', 'BF16', 'F16'] as const)
        .default('F32' as const),
    )
    .addOption(engineOption())
    .addOption(jsonOption())
    .addHelpText('after', examples('soft-tokens merge MODEL runs/lora/soft/checkpoints/best --out merged'))
    .action(async (directory, adapter, flags) => {
      const { dtype } = flags;
      const out = resolve(flags.out);
      if ([directory, adapter].some((path) => resolve(path) === out)) {
        throw usageError(`--out: expected a directory of its own, got ${display(out)}, which is read`);
      }
      if (!existsSync(join(adapter, 'adapter_config.json'))) {
        throw usageError(`${display(adapter)}: expected a directory with adapter_config.json, got none`);
      }
      await startEngine(flags.engine ?? 'auto');
      const { model, embeddingRms, path } = await openSubject(directory);
      const lora = await loadAdapter(model, adapter);
      const adapted = lora.parameterCount;
      await mkdir(dirname(out), { recursive: true });
      await saveModel(mergeLora(lora), out, { dtype, from: path, embeddingRms });
      if (flags.json) return io.out(`${JSON.stringify({ model: flags.out, dtype, adapted })}\n`);
      io.out(
        `${display(out)}: ${model.parameterCount} parameters in ${dtype}, ${adapted} of an adapter merged into them\n`,
      );
    });
  return command as unknown as Command;
}
