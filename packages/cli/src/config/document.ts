// A YAML file with the flags that change it, checked against a schema. Errors point at the file's line or at the flag.
import { Document, isMap, isScalar } from 'yaml';
import { z } from 'zod';
import { usageError } from '../errors.js';
import { layerOf, merged, readLayers } from './layers.js';
import { placeOfSetting, type Setting } from './set.js';
import { suggest } from './suggest.js';

/** A configuration before it is checked, that knows where each of its keys came from. */
export interface ConfigDocument {
  readonly value: unknown;
  /** Where the value at a path was written: `recipe.yaml:3:7` or `--set steps=x`. */
  placeOf(path: readonly PropertyKey[]): string;
  /** Whether a flag set the value at a path, rather than the file. */
  isFlag(path: readonly PropertyKey[]): boolean;
  /** The file that the value at a path is from; `undefined` for a flag, and for a document made of flags alone. */
  fileOf(path: readonly PropertyKey[]): string | undefined;
}

/**
 * Reads a YAML file, those that it extends, and applies flags to it, the later winning.
 *
 * @throws CliError (exit code 2) for a file that is missing or is not YAML, and for a flag whose path leads through a
 * value that is no map.
 * @example const document = await readDocument('recipes/demo.yaml', [parseSetting('steps=10')]);
 */
export async function readDocument(file: string | undefined, settings: readonly Setting[]): Promise<ConfigDocument> {
  const layers = file === undefined ? [] : await readLayers(file);
  const document = new Document(layers.reduceRight<unknown>((base, { value }) => merged(base, value), {}));
  const flags = [...settings];
  for (const setting of flags) applySetting(document, setting);
  const flagOf = (path: readonly PropertyKey[]) =>
    flags.findLast(({ path: set }) => set.every((key, i) => i >= path.length || key === String(path[i])));
  const setterOf = (path: readonly PropertyKey[]) =>
    flags.findLast(({ path: set }) => set.length <= path.length && set.every((key, i) => key === String(path[i])));
  return {
    value: document.toJS() ?? {},
    isFlag: (path) => setterOf(path) !== undefined,
    fileOf(path) {
      const setter = setterOf(path);
      return setter ? setter.source?.file : layerOf(layers, path)?.file;
    },
    placeOf(path) {
      const flag = flagOf(path);
      return flag ? placeOfSetting(flag) : (layerOf(layers, path)?.placeOf(path) ?? '--set');
    },
  };
}

/**
 * The document's value, checked against a schema.
 *
 * @throws CliError (exit code 2) that lists every issue, each with its place, its key and, for an unknown key, the one
 * that was likely meant.
 */
export function checkDocument<S extends z.ZodType>(document: ConfigDocument, schema: S): z.output<S> {
  const parsed = schema.safeParse(document.value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.flatMap((issue) => describeIssue(document, schema, issue));
  throw usageError([...new Set(issues)].join('\n'));
}

function applySetting(document: Document, setting: Setting): void {
  const { path, value } = setting;
  for (let i = 1; i < path.length; i++) {
    const above = document.getIn(path.slice(0, i), true);
    // An absent or empty key becomes a map; a scalar or list in the way is a mistake.
    if (above === undefined || above === null || (isScalar(above) && above.value === null)) {
      document.setIn(path.slice(0, i), document.createNode({}));
    } else if (!isMap(above)) {
      const map = path.slice(0, i).join('.');
      throw usageError(`${placeOfSetting(setting)}: expected ${map} to be a map, got ${String(above)}`);
    }
  }
  const node = document.createNode(value);
  // A file's maps merge, as where a recipe extends another; only an empty one comes here whole.
  if (setting.source && isMap(node) && isMap(document.getIn(path, true))) return;
  document.setIn(path, node);
}

function describeIssue(document: ConfigDocument, schema: z.ZodType, issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path);
    return issue.keys.map((key) => {
      const meant = suggest(key, known);
      const cure = meant ? `did you mean ${meant}?` : `the keys here are ${known.join(', ')}`;
      return `${document.placeOf([...issue.path, key])}: ${[...issue.path, key].join('.')}: unknown key; ${cure}`;
    });
  }
  const where = `${document.placeOf(issue.path)}: ${issue.path.join('.') || 'the recipe'}`;
  // Not the issue's own input: for a wrong kind of data that is the whole section.
  const input = issue.path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
    document.value,
  );
  const got = input === undefined ? 'none' : show(input);
  return [`${where}: ${expectation(schema, issue)}, got ${got}`];
}

function expectation(schema: z.ZodType, issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_union') {
    const options = branchesAt(schema, issue.path).flatMap(
      ({ const: value, enum: values }) => values ?? (value === undefined ? [] : [value]),
    );
    return options.length > 0 ? `expected one of ${options.join(', ')}` : issue.message;
  }
  if (issue.code === 'invalid_value')
    return `expected ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.join(', ')}`;
  const type = /^Invalid input: expected (\w+)/.exec(issue.message)?.[1];
  if (type) return `expected ${article(type)}`;
  return issue.message
    .replace(/^Too (small|big): expected \w+ to (be|have) /, 'expected ')
    .replace(/^[A-Z]/, (c) => c.toLowerCase());
}

const article = (type: string) =>
  ({
    int: 'a whole number',
    number: 'a number',
    string: 'text',
    array: 'a list',
    object: 'a map',
    record: 'a map',
    boolean: 'true or false',
  })[type] ?? type;

function show(value: unknown): string {
  // JSON has no word for NaN and infinity.
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The parts of JSON Schema that say which keys there are. */
interface Shape {
  properties?: Record<string, Shape>;
  items?: Shape;
  anyOf?: Shape[];
  oneOf?: Shape[];
  const?: unknown;
  enum?: unknown[];
}

/** The alternatives a schema allows at a path. JSON Schema is simpler to walk than zod's own types. */
function branchesAt(schema: z.ZodType, path: readonly PropertyKey[]): Shape[] {
  const spread = (shape: Shape): Shape[] => {
    const branches = shape.anyOf ?? shape.oneOf;
    return branches ? branches.flatMap(spread) : [shape];
  };
  let shapes = spread(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as Shape);
  for (const key of path) {
    shapes = shapes.flatMap((shape) => {
      const next = typeof key === 'number' ? shape.items : shape.properties?.[String(key)];
      return next ? spread(next) : [];
    });
  }
  return shapes;
}

function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  return [...new Set(branchesAt(schema, path).flatMap(({ properties }) => Object.keys(properties ?? {})))];
}
