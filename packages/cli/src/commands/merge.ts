import { mkdir, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import { isAdapterDirectory, loadAdapter, loadModelDirectory, mergeLora, saveModel } from '@soft-tokens/models';
import { display } from '../config/paths.js';
import { startEngine } from '../engine.js';
import { usageError } from '../errors.js';
import type { Io } from '../io.js';
import { modelHelp, modelPath } from '../model.js';
import { engineOption, examples, jsonOption } from './options.js';
import { outPath, overwriteOption } from './out.js';

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
    .addOption(overwriteOption())
    .addOption(engineOption())
    .addOption(jsonOption())
    .addHelpText('after', examples('soft-tokens merge MODEL runs/lora/soft/checkpoints/best --out merged'))
    .action(async (name, adapter, flags) => {
      const { dtype } = flags;
      const path = await modelPath(name);
      if (isAdapterDirectory(path)) {
        throw usageError(`${display(path)}: expected a whole model, got an adapter; export merges one into its model`);
      }
      if (!isAdapterDirectory(adapter)) {
        throw usageError(`${display(adapter)}: expected a directory with adapter_config.json, got none`);
      }
      const out = outPath(flags.out, { kind: 'directory', overwrite: flags.overwrite === true });
      if (await isAnyOf([path, adapter], out)) {
        throw usageError(`--out: expected a directory of its own, got ${display(out)}, which is read`);
      }
      await startEngine(flags.engine ?? 'auto');
      const { model, embeddingRms } = await loadModelDirectory(path);
      const lora = await loadAdapter(model, adapter);
      const adapted = lora.parameterCount;
      try {
        await mkdir(dirname(out), { recursive: true });
        await saveModel(mergeLora(lora), out, { dtype, from: path, embeddingRms });
      } finally {
        model.dispose();
      }
      const { parameterCount: parameters } = model;
      if (flags.json) return io.out(`${JSON.stringify({ out, dtype, parameters, adapted })}\n`);
      io.out(`${display(out)}: ${parameters} parameters in ${dtype}, ${adapted} of an adapter merged into them\n`);
    });
  return command as unknown as Command;
}

/** Whether a path that may not be there leads where one of those does that are. */
async function isAnyOf(there: readonly string[], path: string): Promise<boolean> {
  const real = await realpath(path).catch(() => path);
  return (await Promise.all(there.map((each) => realpath(each)))).includes(real);
}
