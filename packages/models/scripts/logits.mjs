// The ids of a text and the logits that a model directory gives for them, as JSON for reference/check_export.py:
//
//   node packages/models/scripts/logits.mjs MODEL_DIRECTORY LOGITS.json [ENGINE] [TEXT]
//
// A directory without a tokenizer is given ids of no meaning.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadModel, loadTokenizer } from '@soft-tokens/models';
import { useEngine, writeFileAtomic } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';

const [directory, file, engine = 'auto', text = 'Mia has 7 apples. She buys 5 more, and then 12.'] =
  process.argv.slice(2);
if (!directory || !file) throw new Error('expected MODEL_DIRECTORY LOGITS.json [ENGINE] [TEXT]');

const { name } = await useEngine(engine);
const model = await loadModel(directory);
const tokenizer = existsSync(join(directory, 'tokenizer.json')) ? await loadTokenizer(directory) : undefined;
const ids = tokenizer?.promptIds(text) ?? Array.from({ length: 16 }, (_, i) => (7 * i + 3) % model.vocabSize);
const logits = tf.tidy(() => {
  const inputs = model.embed(tf.tensor2d([ids], [1, ids.length], 'int32'));
  return model.head.logits(model.forward(inputs)).squeeze([0]).arraySync(); // [T, V]
});
const record = { engine: name, ids, logits, ...(tokenizer && { text }) };
await writeFileAtomic(file, `${JSON.stringify(record)}\n`);
console.log(`${file}: ${ids.length} positions of ${model.vocabSize} logits, engine ${name}`);
