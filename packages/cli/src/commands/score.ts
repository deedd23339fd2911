import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { loadModel } from '@soft-tokens/models';
import { startEngine } from '../engine.js';
import { usageError } from '../errors.js';
import type { Io } from '../io.js';
import { createLineScorer } from '../scoring.js';
import { engineOption, examples } from './options.js';

export function scoreCommand(io: Io): Command {
  const command = new Command('score')
    .description('log-probabilities of recorded samples: JSON lines in, JSON lines out')
    .argument('<model>', 'Hugging Face model directory; needs no tokenizer')
    .addOption(engineOption())
    .addHelpText(
      'after',
      `
A line in:
  {"promptIds": [..], "thought": {"ids": [..]} or {"embeddings": [[..], ..]},
   "prefillIds": [..], "answerIds": [..],
   "mode": {"name": "soft", "temperature": 0.5, "noiseScale": 0.33}}
A line out, natural logarithms:
  {"thoughtLogProb": [..], "answerLogProb": [..]}
${examples('soft-tokens score MODEL < samples.jsonl > scores.jsonl')}`,
    )
    .action(async (directory, flags) => {
      if (!existsSync(join(directory, 'config.json'))) {
        throw usageError(`${directory}: expected a Hugging Face model directory with config.json, got none`);
      }
      await startEngine(flags.engine ?? 'auto');
      const scoreLine = createLineScorer(await loadModel(directory));
      let number = 0;
      for await (const text of io.lines()) {
        io.signal.throwIfAborted();
        number++;
        if (text.trim() !== '') io.out(`${JSON.stringify(scoreLine(text, number))}\n`);
      }
    });
  return command as unknown as Command;
}
