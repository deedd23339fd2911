// Names of models on the hub, and of files in their repositories. Both become paths in the cache: nothing that could
// lead out of it gets past here.
import { isGgufName } from '../files.js';

/** A model on the hub, as `ORG/NAME`, `ORG/NAME@REVISION` or, for one GGUF file of it, `ORG/NAME:FILE.gguf` say it. */
export interface HubName {
  /** `ORG/NAME`. */
  id: string;
  /** A branch, a tag or a commit; `main` unless said. */
  revision: string;
  /** The path of a GGUF file in the repository. */
  file?: string;
}

/**
 * Reads the name of a model on the hub.
 *
 * @throws Error for anything that is not such a name.
 * @example parseHubName('Qwen/Qwen2.5-0.5B@main'); // { id: 'Qwen/Qwen2.5-0.5B', revision: 'main' }
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
  return file === undefined ? { id, revision } : { id, revision, file };
}

/** A name as `parseHubName` reads it. */
export function formatHubName({ id, revision, file }: HubName): string {
  return `${id}${revision === 'main' ? '' : `@${revision}`}${file === undefined ? '' : `:${file}`}`;
}

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
