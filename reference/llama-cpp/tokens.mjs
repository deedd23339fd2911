// Ids that llama.cpp gives texts, special tokens written out in them parsed, nothing added:
//
//   node reference/llama-cpp/tokens.mjs NODE_LLAMA_CPP MODEL.gguf [MODEL.gguf ...] < texts.json > ids.json
//
// Texts are a JSON list of strings; ids are a list for each model of a list for each text. Only the vocabulary of a
// model is loaded. NODE_LLAMA_CPP is the folder of node-llama-cpp (3.22.1, whose llama.cpp is v0.5.0).
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, ...models] = process.argv.slice(2);
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(join(resolve(folder), 'dist/index.js')).href);
const texts = JSON.parse(readFileSync(0, 'utf8'));
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error });
const ids = [];
for (const modelPath of models) {
  const model = await llama.loadModel({ modelPath, vocabOnly: true });
  ids.push(texts.map((text) => [...model.tokenize(text, true)]));
  await model.dispose();
}
process.stdout.write(JSON.stringify(ids), () => process.exit(0));
