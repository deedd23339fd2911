// Names of models and data sets on the hub, and of files in their repositories. All become paths in the cache: nothing
// that could lead out of it gets past here.
import { isGgufName } from '../files.js';

/**
 * A model on the hub, as `ORG/NAME`, `ORG/NAME@REVISION` or, for one GGUF file of it, `ORG/NAME:FILE.gguf` say it; or a
 * file of a data set there, as `hf://datasets/ORG/NAME/FILE` or `hf://datasets/ORG/NAME@REVISION/FILE` do.
 */
export interface HubName {
  kind: 'model' | 'dataset';
  /** `ORG/NAME`. */
  id: string;
  /** A branch, a tag or a commit; `main` unless said. */
  revision: string;
  /** The path of a file in the repository; of a model's, of a GGUF file. */
  file?: string;
}

/**
 * Reads the name of a model on the hub.
 *
 * @throws Error for anything that is not such a name.
 * @example parseHubName('Qwen/Qwen2.5-0.5B@main'); // { kind: 'model', id: 'Qwen/Qwen2.5-0.5B', ... }
 */
export function parseHubName(text: string): HubName {
  const [, id = '', revision = 'main', file] = /^([^@:]*)(?:@([^:]*))?(?::(.*))?$/s.exec(text) ?? [];
  const good =
    isRepository(id) && isRevision(revision) && (file === undefined || (isSafePath(file) && isGgufName(file)));
  if (!good) {
    throw new Error(
      `${show(text)}: expected the name of a model on the hub, got something else; ` +
        'write ORG/NAME, ORG/NAME@REVISION or ORG/NAME:FILE.gguf',
    );
  }
  return { kind: 'model', id, revision, ...(file !== undefined && { file }) };
}

/** Whether a text is meant as the name of something on the hub in Python's notation, rather than as a path. */
export const isDataName = (text: string): boolean => text.startsWith('hf://');

/**
 * Reads the name of a file of a data set on the hub, as Python's fsspec writes it: `hf://datasets/ORG/NAME/FILE`, or
 * `hf://datasets/ORG/NAME@REVISION/FILE` with `%2F` for a slash in the revision, but for `refs/pr/N` and
 * `refs/convert/NAME`. Without FILE it is the name of the data set.
 *
 * Source: huggingface_hub 2.4.0, `utils/_hf_uris.py`.
 *
 * @throws Error for anything that is not such a name.
 * @example parseDataName('hf://datasets/openai/gsm8k/main/test.parquet'); // { ..., file: 'main/test.parquet' }
 */
export function parseDataName(text: string): HubName {
  const [, id = '', said = 'main', file = ''] = DATA_NAME.exec(text) ?? [];
  const revision = decoded(said);
  if (!isRepository(id) || !isRevision(revision) || !(file === '' || isSafePath(file))) {
    throw new Error(
      `${show(text)}: expected the name of a file of a data set on the hub, got something else; ` +
        'write hf://datasets/ORG/NAME/FILE or hf://datasets/ORG/NAME@REVISION/FILE',
    );
  }
  return { kind: 'dataset', id, revision, ...(file !== '' && { file }) };
}

const DATA_NAME = /^hf:\/\/datasets\/([^/@]*\/[^/@]*)(?:@(refs\/(?:pr\/\d+|convert\/[\w.-]+)|[^/]*))?(?:\/(.*?))?\/?$/s;

/** Text without percent signs for characters; empty, which is no revision, where they stand for none. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

/** A name as `parseHubName` or `parseDataName` reads it. */
export function formatHubName({ kind, id, revision, file }: HubName): string {
  if (kind === 'model') {
    return `${id}${revision === 'main' ? '' : `@${revision}`}${file === undefined ? '' : `:${file}`}`;
  }
  const plain = /^refs\/(pr\/\d+|convert\/[\w.-]+)$/.test(revision) ? revision : revision.replaceAll('/', '%2F');
  return `hf://datasets/${id}${revision === 'main' ? '' : `@${plain}`}${file === undefined ? '' : `/${file}`}`;
}

/** Where a repository is in the hub's addresses. */
export const addressOf = ({ kind, id }: HubName): string => (kind === 'model' ? id : `datasets/${id}`);

export const isCommit = (text: string): boolean => /^[0-9a-f]{40}$/.test(text);

/** `--` separates the parts of a name in the cache, so that none may hold it. The rules are huggingface_hub's. */
function isRepository(id: string): boolean {
  return /^(\w|\w[\w.-]{0,94}\w)\/(\w|\w[\w.-]{0,94}\w)$/.test(id) && !/--|\.\.|\.git$/.test(id);
}

/** As git allows references, and less: a word at the start of each part, and no `..`. */
function isRevision(revision: string): boolean {
  return /^\w[\w.+-]*(\/\w[\w.+-]*)*$/.test(revision) && revision.length <= 200 && !/\.\.|\.(\/|$)/.test(revision);
}

/** Whether a path from a repository stays inside the folder it is joined to, here and on Windows. */
export function isSafePath(path: string): boolean {
  const parts = path.split('/');
  return (
    path.length <= 1000 &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
    !/[\u0000-\u001f\u007f\\]/.test(path) &&
    parts.every((part) => part !== '' && part !== '.' && part !== '..' && !/^[a-z]:/i.test(part))
  );
}

/** Text from outside, for a message: one line, no control characters, not too long. */
export const show = (text: string): string => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
  const plain = !/[\u0000-\u001f\u007f-\u009f\\]/.test(text) && text !== '';
  const line = plain ? text : JSON.stringify(text);
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
};
