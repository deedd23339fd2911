import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import {
  baseDirectory,
  type CausalLM,
  type GgufWeightType,
  isLora,
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
import { modelHelp, openSubject } from '../subject.js';
import { examples, jsonOption } from './options.js';

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
    .option('--overwrite', 'replace what is there')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'soft-tokens export runs/gsm8k/train/soft/model --format gguf --dtype Q8_0 \\\n      --out model.gguf',
        'soft-tokens export model.gguf --format hf --dtype BF16 --out MODEL',
      ),
    )
    .action(async (model, flags) => {
      const out = resolve(flags.out);
      const save = saver(flags.format, flags.dtype);
      if (existsSync(out) && !flags.overwrite) {
        throw usageError(`--out: expected a new path, got ${display(out)}, which is there; --overwrite replaces it`);
      }
      if (flags.format === 'gguf' && !out.endsWith('.gguf')) {
        throw usageError(`--out: expected a file with the ending .gguf, got ${display(out)}`);
      }
      await startEngine('cpu'); // nothing is computed
      const { model: loaded, embeddingRms, path } = await openSubject(model);
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
