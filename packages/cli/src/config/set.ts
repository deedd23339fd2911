import { parseDocument } from 'yaml';
import { usageError } from '../errors.js';

/** One `--set a.b=c`, taken apart; or what another file says of a key. */
export interface Setting {
  /** The text as given, for errors. */
  text: string;
  path: string[];
  value: unknown;
  /** Where a file says it, which its paths are relative to: `recipes/sweep.yaml`, `recipes/sweep.yaml:3:7`. */
  source?: { file: string; place: string };
}

/** Where a setting was written, for errors. */
export function placeOfSetting({ text, source }: Setting): string {
  return source ? source.place : `--set ${text}`;
}

/**
 * Takes `key.path=value` apart; the value is YAML, so numbers, lists and `{a: 1}` are written as in a recipe, and
 * nothing after the equals sign is null.
 *
 * @throws CliError (exit code 2) for a text without a key, or a value that is not YAML.
 * @example parseSetting('caps.thought=128'); // { text: 'caps.thought=128', path: ['caps', 'thought'], value: 128 }
 */
export function parseSetting(text: string): Setting {
  const equals = text.indexOf('=');
  const path = text.slice(0, Math.max(0, equals)).trim().split('.');
  if (equals < 0 || path.some((key) => key === '')) {
    throw usageError(`--set: expected key=value with a key like caps.thought, got ${JSON.stringify(text)}`);
  }
  const document = parseDocument(text.slice(equals + 1));
  const error = document.errors[0];
  if (error) {
    throw usageError(
      `--set ${text}: expected a YAML value, got one that does not parse: ${error.message.split('\n')[0]}`,
    );
  }
  return { text, path, value: document.toJS() ?? null };
}

/** For commander: collects repeated `--set` flags. */
export function collectSettings(text: string, earlier: readonly Setting[] = []): Setting[] {
  return [...earlier, parseSetting(text)];
}
