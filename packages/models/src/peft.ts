// Adapter directories in the format of PEFT: adapter_config.json and adapter_model.safetensors.
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { openSafetensors, type TensorToWrite, writeSafetensors } from '@soft-tokens/tensor';
import { z } from 'zod';
import type { CausalLM } from './causalLM.js';
import { only, type RawConfig, readConfig } from './config.js';
import { readJson, writeJson } from './files.js';
import { ADAPTER_CONFIG as CONFIG, resolveModel } from './hub/cache.js';
import { adapterShapes, type LoraModel, type LoraSettings, loraModel, shapesOf } from './lora.js';
import { checkTensors, checkValues, type WeightValues } from './weightSource.js';

const WEIGHTS = 'adapter_model.safetensors';

/** Ways to begin that leave the base as it is; others (PiSSA, LoftQ) change it, and an adapter fits the changed one only. */
const beginnings = [true, false, 'gaussian', 'orthogonal', 'eva'];

/** Keys that no number of the forward pass depends on. */
const harmless = [
  'auto_mapping',
  'eva_config',
  'inference_mode',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
  'task_type',
];

/** As with config.json, a key that is not here must be off. */
const keys = {
  peft_type: only('LORA'),
  base_model_name_or_path: z.string().nullish(),
  r: z.number().int().positive(),
  lora_alpha: z.number().positive(),
  target_modules: z.array(z.string().min(1)).min(1),
  use_rslora: z.boolean().nullish(),
  bias: only('none'),
  lora_dropout: z.number().min(0).max(1).nullish(), // of training alone
  init_lora_weights: z
    .custom((value) => beginnings.includes(value as string), `expected one of ${beginnings.join(', ')}`)
    .nullish(),
  ...Object.fromEntries(harmless.map((key) => [key, z.unknown().optional()])),
};

const isEmpty = (value: unknown) => typeof value === 'object' && value !== null && Object.keys(value).length === 0;

/**
 * Whether a directory holds an adapter rather than a model. Throws for one that holds both.
 *
 * @example if (isAdapterDirectory('best')) console.log(await baseDirectory('best'));
 */
export function isAdapterDirectory(directory: string): boolean {
  if (!existsSync(join(directory, CONFIG))) return false;
  const weights = ['model.safetensors', 'model.safetensors.index.json'].find((name) =>
    existsSync(join(directory, name)),
  );
  if (weights === undefined) return true;
  throw new Error(`${directory}: expected a model or an adapter, got ${CONFIG} beside ${weights}; move one away`);
}

interface AdapterConfig extends LoraSettings {
  /** What the file calls the model that the adapter belongs to. */
  base: string | undefined;
}

async function readAdapterConfig(directory: string): Promise<AdapterConfig> {
  const file = join(directory, CONFIG);
  const raw = await readJson(file);
  const given = Object.fromEntries(Object.entries(raw).filter(([, value]) => !isEmpty(value)));
  const read = readConfig(keys, given, file);
  return {
    base: read.base_model_name_or_path || undefined,
    r: read.r,
    alpha: read.lora_alpha,
    target: read.target_modules,
    useRslora: read.use_rslora ?? false,
  };
}

/**
 * The directory of a model without its adapter: of an adapter's directory that of the model it belongs to, which
 * `base_model_name_or_path` names by a path, relative to the adapter's directory or to the working directory, or as
 * `ORG/NAME`, if that is in the cache; of any other that itself.
 *
 * @throws Error naming the file where there is no model.
 * @example const base = await loadModel(await baseDirectory('runs/demo/soft/checkpoints/best'));
 */
export async function baseDirectory(directory: string): Promise<string> {
  if (!isAdapterDirectory(directory)) return directory;
  const where = `${join(directory, CONFIG)}: base_model_name_or_path`;
  const { base } = await readAdapterConfig(directory);
  if (base === undefined) {
    throw new Error(`${where}: expected the model the adapter belongs to, got none; write its path there`);
  }
  const problems: string[] = [];
  for (const from of isAbsolute(base) ? ['.'] : [directory, '.']) {
    try {
      return await resolveModel(base, { from });
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  throw new Error(
    `${where}: expected a model, got ${base}: ${[...new Set(problems)].join('; ')}; ` +
      'write its path there, or merge the two: soft-tokens merge MODEL ADAPTER --out DIRECTORY',
  );
}

/**
 * The adapter in a directory, as PEFT writes it, on the model it belongs to.
 *
 * @throws Error naming the file and the key or tensor for whatever is missing, unexpected or damaged, for an adapter that
 * is computed differently from what this package does, and for one of another model.
 * @example const lora = await loadAdapter(await loadModel('SmolLM2-135M'), 'adapter');
 */
export async function loadAdapter(base: CausalLM, directory: string): Promise<LoraModel> {
  const { base: _, ...settings } = await readAdapterConfig(directory);
  const shapes = shapesFor(shapesOf(base), settings, join(directory, CONFIG));
  const file = join(directory, WEIGHTS);
  if (!existsSync(file) && existsSync(join(directory, 'adapter_model.bin'))) {
    throw new Error(`${file}: expected a file, got adapter_model.bin only; save the adapter as safetensors with PEFT`);
  }
  const { tensors, read } = await openSafetensors(file);
  checkTensors(tensors, { shapes, tied: false }, () => file);
  const weights: Record<string, WeightValues> = {};
  for (const [name, shape] of shapes) {
    const values = await read(name);
    checkValues(file, name, values);
    weights[name] = { shape, values };
  }
  return loraModel(base, settings, weights);
}

/**
 * The shapes of the parameters of the adapter in a directory, told by its configuration.
 *
 * - `shapes`: those of the parameters of the model it belongs to
 *
 * @throws Error naming the file and the key, as `loadAdapter` does.
 * @example await adapterParameters('adapter', await modelParameters('SmolLM2-135M'));
 */
export async function adapterParameters(
  directory: string,
  shapes: ReadonlyMap<string, readonly number[]>,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const { base: _, ...settings } = await readAdapterConfig(directory);
  return shapesFor(shapes, settings, join(directory, CONFIG));
}

function shapesFor(
  shapes: ReadonlyMap<string, readonly number[]>,
  settings: LoraSettings,
  file: string,
): Map<string, number[]> {
  try {
    return adapterShapes(shapes, settings);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const problem = error.message.replace(/^withLora: target: /, 'target_modules: ');
    throw new Error(`${file}: ${problem}; is it an adapter of this model?`, { cause: error });
  }
}

/**
 * Writes the adapters of a model as PEFT does; `PeftModel.from_pretrained` opens the directory.
 *
 * - `base`: the name or the path of the model they belong to; a path best in full
 *
 * The configuration is written last, so that a directory with one is whole.
 *
 * @example await saveAdapter(lora, 'adapter', { base: '/models/SmolLM2-135M' });
 */
export async function saveAdapter(model: LoraModel, directory: string, { base }: { base: string }): Promise<void> {
  await mkdir(directory, { recursive: true });
  await rm(join(directory, CONFIG), { force: true });
  const tensors: Record<string, TensorToWrite> = {};
  for (const [name, variable] of model.parameters) {
    tensors[name] = { shape: variable.shape, values: () => variable.data<'float32'>() };
  }
  await writeSafetensors(join(directory, WEIGHTS), tensors, { metadata: { format: 'pt' } });
  await writeJson(join(directory, CONFIG), configOf(model, base));
}

function configOf({ lora, parameters }: LoraModel, base: string): RawConfig {
  const { r, alpha, target, useRslora = false } = lora;
  return {
    base_model_name_or_path: base,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r,
    // PEFT would take `all-linear` here for a pattern.
    target_modules: target === 'all-linear' ? linearTargets([...parameters.keys()]) : [...target],
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: useRslora,
  };
}

const linearTargets = (names: string[]): string[] => [
  ...new Set(names.map((name) => name.split('.').at(-3)!)), // base_model.model. ... .q_proj.lora_A.weight
];
