import { Command, Option } from '@commander-js/extra-typings';
import { loadModelDirectory } from '@soft-tokens/models';
import { settingNames } from '@soft-tokens/samplers';
import { promptText } from '../config/data.js';
import { startEngine } from '../engine.js';
import { type DrawnToken, type Generated, generate } from '../generation.js';
import type { Colors, Io } from '../io.js';
import { modelHelp, modelPath } from '../model.js';
import { formatTable } from '../table.js';
import { sigmaOf } from '../training.js';
import { engineOption, examples, jsonOption, nonNegativeNumber, positiveWholeNumber, seedOption } from './options.js';

export function generateCommand(io: Io): Command {
  const command = new Command('generate')
    .description('answer a question; show the thought and its entropies')
    .argument('<model>', modelHelp)
    .argument('<question>', 'the question')
    .addOption(
      new Option('--setting <name>', 'how the thought is drawn').choices(settingNames).default('soft-sample' as const),
    )
    .addOption(
      new Option('--prompt <name>', 'how the question is put')
        .choices(['plain', 'paper', 'chat'] as const)
        .default('plain' as const),
    )
    .option('--samples <n>', 'completions to draw', positiveWholeNumber, 1)
    .option('--max-thought-tokens <n>', 'cap of the thought', positiveWholeNumber, 256)
    .option('--max-answer-tokens <n>', 'cap of the answer', positiveWholeNumber, 32)
    .option('--noise <factor>', 'noise as a multiple of the embedding rms', nonNegativeNumber, 0.33)
    .addOption(
      new Option('--noise-scale <kind>', 'rms per entry or of a row')
        .choices(['entry', 'row'] as const)
        .default('entry' as const),
    )
    .option('--entropy', 'list every token with its entropy')
    .option('--show-prompt', 'print the exact prompt first, as text and as ids')
    .addOption(seedOption())
    .addOption(engineOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'soft-tokens generate packages/models/tiny \\\n      "Mia has 7 apples. She buys 5 more. How many apples does Mia have now?"',
        'soft-tokens generate MODEL QUESTION --setting fuzzy-sample --json',
      ),
    )
    .action(async (model, question, flags) => {
      const path = await modelPath(model);
      const engine = await startEngine(flags.engine ?? 'auto');
      const subject = await loadModelDirectory(path);
      const { tokenizer } = subject;
      const promptIds = tokenizer.promptIds(promptText(flags.prompt, question, tokenizer));
      const prompt = tokenizer.decode(promptIds); // what the model reads, with special tokens and what is normalised
      const colors = io.colors.out;
      const streaming = !flags.json && flags.samples === 1;
      if (flags.showPrompt && !flags.json) {
        io.out(`${colors.dim('prompt')}\n${prompt}\n${colors.dim('prompt ids')}\n${promptIds.join(' ')}\n`);
      }
      if (streaming) io.out(`${colors.dim(`thought (${flags.setting})`)}\n`);
      const seed = flags.seed ?? 0;
      const completions = await generate({
        subject,
        sigma: sigmaOf(subject, { factor: flags.noise, scale: flags.noiseScale }),
        setting: flags.setting,
        promptIds,
        samples: flags.samples,
        caps: { thought: flags.maxThoughtTokens, answer: flags.maxAnswerTokens },
        seed,
        signal: io.signal,
        ...(streaming && { onText: (_: number, piece: string) => io.out(piece) }),
      });
      if (flags.json) {
        const { setting } = flags;
        const shown = { prompt, ...(flags.showPrompt && { promptIds }) };
        io.out(`${JSON.stringify({ model, engine: engine.name, setting, seed, ...shown, completions })}\n`);
        return;
      }
      completions.forEach((completion, i) => {
        const title = `thought ${i + 1} (${flags.setting})`;
        if (!streaming) io.out(`${i > 0 ? '\n' : ''}${colors.dim(title)}\n${completion.thought}`);
        io.out(`\n${afterThought(completion, colors, flags.entropy === true)}\n`);
      });
    });
  return command as unknown as Command;
}

function afterThought({ thoughtTokens, thoughtEnd, answer }: Generated, colors: Colors, everyToken: boolean): string {
  const entropies = thoughtTokens.map(({ entropy }) => entropy);
  const mean = entropies.reduce((sum, entropy) => sum + entropy, 0) / entropies.length;
  const most = Math.max(...entropies);
  const end = thoughtEnd === 'cap' ? ', stopped at the cap' : '';
  const summary = `${entropies.length} tokens${end}; entropy in nats: mean ${mean.toFixed(2)}, most ${most.toFixed(2)}`;
  const detail = everyToken ? entropyTable(thoughtTokens) : sparkline(entropies);
  return `${colors.dim(detail)}\n${colors.dim(summary)}\n${colors.dim('answer')}\n${colors.bold(answer)}`;
}

function entropyTable(tokens: readonly DrawnToken[]): string {
  return formatTable(
    ['token', 'nats'],
    tokens.map(({ text, entropy }) => [JSON.stringify(text), entropy.toFixed(3)]),
  );
}

const BARS = '▁▂▃▄▅▆▇█';

/**
 * A bar for each value, the highest for the largest one or for 1, whichever is more; 80 a line.
 *
 * @example sparkline([0, 1, 2]); // '▁▅█'
 */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(1, ...values);
  const bars = values.map((value) => BARS[Math.round((value / top) * (BARS.length - 1))]).join('');
  return bars.replace(/.{80}(?=.)/g, '$&\n');
}
