import { Command } from '@commander-js/extra-typings';
import { isDataName, parseDataName, parseHubName, pullData, pullModel } from '@soft-tokens/models';
import { messageOf, usageError } from '../errors.js';
import type { Io } from '../io.js';
import { createProgress, duration } from '../progress.js';
import { examples, jsonOption } from './options.js';

export function pullCommand(io: Io): Command {
  const command = new Command('pull')
    .description("fetch a model or a file of data from the hub into Python's cache; print its path")
    .argument(
      '<name>',
      'ORG/NAME, or ORG/NAME@REVISION: a branch, tag or commit; hf://datasets/ORG/NAME[@REVISION]/FILE for data',
    )
    .option('--file <path>', 'a GGUF file of the repository, and nothing else')
    .option('--offline', 'ask nobody: what is named must be in the cache')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `${examples(
        'soft-tokens pull HuggingFaceTB/SmolLM2-135M-Instruct',
        'soft-tokens generate HuggingFaceTB/SmolLM2-135M-Instruct QUESTION',
        'MODEL=$(soft-tokens pull Qwen/Qwen2.5-0.5B@main)',
        'soft-tokens pull Qwen/Qwen2.5-0.5B-Instruct-GGUF \\\n      --file qwen2.5-0.5b-instruct-q4_0.gguf',
        'soft-tokens pull hf://datasets/HuggingFaceH4/MATH-500/test.jsonl',
      )}
What came of an interrupted pull is not fetched again. A model that is pulled is
called by its name in other commands; a GGUF file of several as ORG/NAME:FILE.
A file of data is called by its name in recipes: data.test=hf://datasets/...
That of a folder, or of a whole data set, gives an error that lists its files.
A token is taken from HF_TOKEN or where "hf auth login" keeps it; HF_ENDPOINT,
HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE=1 mean what they do in Python.
`,
    )
    .action(async (name, flags) => {
      const isData = isDataName(name);
      if (isData && flags.file !== undefined) {
        throw usageError(`--file: expected ORG/NAME before it, got ${name}; write hf://datasets/ORG/NAME/FILE alone`);
      }
      const full = flags.file === undefined ? name : `${name}:${flags.file}`;
      try {
        (isData ? parseDataName : parseHubName)(full);
      } catch (error) {
        throw usageError(messageOf(error), { cause: error });
      }
      const progress = createProgress(io);
      const began = performance.now();
      const seconds = () => (performance.now() - began) / 1000;
      const pulled = await (isData ? pullData : pullModel)(full, {
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
      const record = { [isData ? 'data' : 'model']: full, path, fetched_bytes: fetchedBytes };
      io.out(flags.json ? `${JSON.stringify(record)}\n` : `${path}\n`);
    });
  return command as unknown as Command;
}

/** A size for a reader. */
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
