import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import {
  baseDirectory,
  type CausalLM,
  type GgufWeightType,
  isAdapterDirectory,
  isLora,
  loadModelDirectory,
  mergeLora,
  saveGguf,
  saveModel,
  type WeightType,
} from '@soft-tokens/models';
import { match } from 'ts-pattern';
import { display } from '../config/paths.js';
import { startEngine } from '../engine.js';
import { usageError } from '../errors.js';
import type { Io } from '../io.js';
import { modelHelp, modelPath } from '../model.js';
import { examples, jsonOption } from './options.js';
import { outPath, overwriteOption } from './out.js';

type Format = 'hf' | 'gguf';

/** The number formats of each. */
const dtypes: { hf: readonly WeightType[]; gguf: readonly GgufWeightType[] } = {
  hf: ['F32', 'BF16', 'F16'],
  gguf: ['F32', 'F16', 'Q8_0'],
};

export function exportCommand(io: Io): Command {
  const command = new Command('export')
    .description('write a model for other tools: a Hugging Face directory or GGUF')
    .argument('<model>', modelHelp)
    .addOption(
      new Option('--format <name>', 'hf: a directory; gguf: one file')
        .choices(['hf', 'gguf'] as const)
        .makeOptionMandatory(),
    )
    .requiredOption('--out <path>', 'the directory or .gguf file to write')
    .addOption(
      new Option('--dtype <name>', 'F32, BF16 or F16 in hf; F32, F16 or Q8_0 in gguf')
        .choices(['F32', 'BF16', 'F16', 'Q8_0'] as const)
        .default('F32' as const),
    )
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'soft-tokens export runs/gsm8k/soft/checkpoints/best --format gguf \\\n      --dtype Q8_0 --out model.gguf',
        'soft-tokens export model.gguf --format hf --dtype BF16 --out MODEL',
      ),
    )
    .action(async (model, flags) => {
      const save = saver(flags.format, flags.dtype);
      const kind = flags.format === 'hf' ? 'directory' : 'gguf';
      const out = outPath(flags.out, { kind, overwrite: flags.overwrite === true });
      const path = await modelPath(model);
      await startEngine(isAdapterDirectory(path) ? 'auto' : 'cpu'); // without an adapter nothing is computed
      const { model: loaded, embeddingRms } = await loadModelDirectory(path);
      const whole = isLora(loaded) ? mergeLora(loaded) : loaded;
      try {
        await mkdir(dirname(out), { recursive: true });
        await save(whole, out, { from: await baseDirectory(path), embeddingRms });
      } finally {
        loaded.dispose();
      }
      const { parameterCount: parameters } = whole;
      const { format, dtype } = flags;
      if (flags.json) io.out(`${JSON.stringify({ out, format, dtype, parameters })}\n`);
      else io.out(`${display(out)}: ${parameters} parameters in ${dtype}\n`);
    });
  return command as unknown as Command;
}

type Save = (model: CausalLM, out: string, rest: { from: string; embeddingRms: number }) => Promise<void>;

/** What writes the format. Throws CliError (exit code 2) for a number format that it does not have. */
function saver(format: Format, name: string): Save {
  const found = <T extends string>(names: readonly T[]): T => {
    const dtype = names.find((candidate) => candidate === name);
    if (dtype) return dtype;
    throw usageError(`--dtype: expected one of ${names.join(', ')} for --format ${format}, got ${name}`);
  };
  return match(format)
    .with('hf', (): Save => {
      const dtype = found(dtypes.hf);
      return (model, out, rest) => saveModel(model, out, { dtype, ...rest });
    })
    .with('gguf', (): Save => {
      const dtype = found(dtypes.gguf);
      return (model, out, rest) => saveGguf(model, out, { dtype, ...rest });
    })
    .exhaustive();
}
