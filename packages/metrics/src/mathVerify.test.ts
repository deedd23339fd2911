// Cases of other graders: a few here, all that are at hand where the shared data are.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { asNumber, asText, expressionComparison } from './comparisons.js';
import { verify } from './verify.js';

interface Triple {
  gold: string;
  prediction: string;
  expected: 0 | 1;
  settings?: { precision?: number; strict?: boolean; allow_set_relation_comp?: boolean };
}

const read = (file: string): Triple[] =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

function isCorrect({ gold, prediction, settings = {} }: Triple): boolean {
  const { precision = 6, strict = true, allow_set_relation_comp: statementForSet = false } = settings;
  const expression = expressionComparison({ digits: precision, strict, statementForSet });
  return verify(prediction, gold, [asNumber, asText, expression]).correct;
}

const sample = read(fileURLToPath(new URL('./__fixtures__/mathVerify.jsonl', import.meta.url)));

test.each(sample)('$gold: $prediction', (triple) => {
  expect(isCorrect(triple)).toBe(triple.expected === 1);
});

const shared = fileURLToPath(new URL('../../../../shared/data/', import.meta.url));

describe.each(['math_verify_sample', 'qwen_grader_sample'])('%s', (name) => {
  const file = `${shared}${name}/triples.jsonl`;
  test.skipIf(!existsSync(file))(
    'at least 95 % as expected, nothing accepted wrongly (skipped where ../shared/data is absent)',
    () => {
      const triples = read(file);
      const verdicts = triples.map((triple) => isCorrect(triple));
      const agreed = triples.filter(({ expected }, i) => verdicts[i] === (expected === 1));
      expect(agreed.length).toBeGreaterThanOrEqual(0.95 * triples.length);
      expect(triples.filter(({ expected }, i) => expected === 0 && verdicts[i])).toEqual([]);
    },
  );
  if (!existsSync(file)) console.info(`skipped: ${name} is not at hand`);
});
