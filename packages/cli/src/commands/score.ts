import { Command } from '@commander-js/extra-typings';
import { loadModel } from '@soft-tokens/models';
import { startEngine } from '../engine.js';
import type { Io } from '../io.js';
import { modelHelp, modelPath } from '../model.js';
import { createLineScorer } from '../scoring.js';
import { engineOption, examples } from './options.js';

export function scoreCommand(io: Io): Command {
  const command = new Command('score')
    .description('log-probabilities of recorded samples: JSON lines in, JSON lines out')
    .argument('<model>', `${modelHelp}; needs no tokenizer`)
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
    .action(async (name, flags) => {
      const path = await modelPath(name);
      await startEngine(flags.engine ?? 'auto');
      const scoreLine = createLineScorer(await loadModel(path));
      let number = 0;
      for await (const text of io.lines()) {
        io.signal.throwIfAborted();
        number++;
        if (text.trim() !== '') io.out(`${JSON.stringify(scoreLine(text, number))}\n`);
      }
    });
  return command as unknown as Command;
}
