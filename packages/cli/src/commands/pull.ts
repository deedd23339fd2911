import { Command } from '@commander-js/extra-typings';
import { parseHubName, pullModel } from '@soft-tokens/models';
import { messageOf, usageError } from '../errors.js';
import type { Io } from '../io.js';
import { createProgress, duration } from '../progress.js';
import { examples, jsonOption } from './options.js';

export function pullCommand(io: Io): Command {
  const command = new Command('pull')
    .description("fetch a model from the hub into Python's cache; print its path")
    .argument('<name>', 'ORG/NAME, or ORG/NAME@REVISION: a branch, tag or commit')
    .option('--file <path>', 'a GGUF file of the repository, and nothing else')
    .option('--offline', 'ask nobody: the model must be in the cache')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `${examples(
        'soft-tokens pull HuggingFaceTB/SmolLM2-135M-Instruct',
        'soft-tokens generate HuggingFaceTB/SmolLM2-135M-Instruct QUESTION',
        'MODEL=$(soft-tokens pull Qwen/Qwen2.5-0.5B@main)',
        'soft-tokens pull Qwen/Qwen2.5-0.5B-Instruct-GGUF \\\n      --file qwen2.5-0.5b-instruct-q4_0.gguf',
      )}
What came of an interrupted pull is not fetched again. A model that is pulled is
called by its name in other commands; a GGUF file of several as ORG/NAME:FILE.
A token is taken from HF_TOKEN or where "hf auth login" keeps it; HF_ENDPOINT,
HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE=1 mean what they do in Python.
`,
    )
    .action(async (name, flags) => {
      const full = flags.file === undefined ? name : `${name}:${flags.file}`;
      try {
        parseHubName(full);
      } catch (error) {
        throw usageError(messageOf(error), { cause: error });
      }
      const progress = createProgress(io);
      const began = performance.now();
      const seconds = () => (performance.now() - began) / 1000;
      const pulled = await pullModel(full, {
        ...(flags.offline && { offline: true }),
        signal: io.signal,
        onProgress({ file, totalBytes, doneBytes, fetchedBytes }) {
          const left = fetchedBytes > 0 ? (seconds() / fetchedBytes) * (totalBytes - doneBytes) : undefined;
          const share = totalBytes > 0 ? doneBytes / totalBytes : 0;
          progress.update(share, left, `${megabytes(doneBytes)} of ${megabytes(totalBytes)}  ${file}`);
        },
      }).finally(() => progress.stop());
      const { path, fetchedBytes } = pulled;
      const came = fetchedBytes > 0 ? `${megabytes(fetchedBytes)} in ${duration(seconds())}` : 'nothing to fetch';
      io.note(`${name}: ${came}\n`);
      io.out(flags.json ? `${JSON.stringify({ model: full, path, fetched_bytes: fetchedBytes })}\n` : `${path}\n`);
    });
  return command as unknown as Command;
}

/** A size for a reader. */
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
