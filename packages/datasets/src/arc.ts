// ARC, the AI2 Reasoning Challenge: science questions of grade-school tests with three to five choices. Easy: 2,251
// for training, 570 for validation, 2,376 for testing; Challenge, which a word-matching and a retrieval program both
// got wrong: 1,119, 299 and 1,172.
//
// Source: https://allenai.org/data/arc (ARC-{Easy,Challenge}/*.jsonl); on the hub allenai/ai2_arc. Licence: CC BY-SA
// 4.0 by the hub's data card. Paper: Clark et al. 2018, arXiv:1803.05457. Three formats are read:
//
//   original    {"id", "question": {"stem", "choices": [{"text", "label"}]}, "answerKey"}
//   hub         {"id", "question", "choices": {"text": [], "label": []}, "answerKey"}
//   instruction (https://github.com/tunx-cyber/FedLS, dataset/ARC-*/test.json), a row of Easy:
//
//   {"instruction": "Please choose the correct answer to the question: What causes sound?\n\nAnswer1: sunlight
//     Answer2: vibrations Answer3: x-rays Answer4: pitch\n\nAnswer format: answer1/answer2/answer3/answer4",
//    "input": "", "output": "the correct answer is answer2", "answer": "answer2"}
//
// Labels are A to E, or 1 to 5 in some rows, or answer1 to answer5 in instructions, which have no id.
//
// Split: train, validation and test are files.
import { z } from 'zod';
import { type Choice, toChoice } from './choice.js';
import { fileId, readItems, type Tolerance, text } from './rows.js';

const original = z.object({
  id: text,
  question: z.object({ stem: text, choices: z.array(z.object({ text, label: text })) }),
  answerKey: text,
});
const instruction = z.object({ instruction: z.string(), answer: text });
const instructionText =
  /^Please choose the correct answer to the question: (?<question>.*)\n\nAnswer1: (?<choices>.*)\n\nAnswer format: (?<labels>\S+)\s*$/s;

/** The other formats in the hub's fields. */
function asOnHub(row: unknown): unknown {
  const first = original.safeParse(row).data;
  if (first) {
    const { stem, choices } = first.question;
    return {
      ...first,
      question: stem,
      choices: { text: choices.map((each) => each.text), label: choices.map(({ label }) => label) },
    };
  }
  const told = instruction.safeParse(row).data;
  const groups = told && instructionText.exec(told.instruction)?.groups;
  if (!groups) return row;
  const choices = { text: groups.choices!.split(/ Answer\d: /), label: groups.labels!.split('/') };
  return { question: groups.question, choices, answerKey: told.answer };
}

const row = z.preprocess(
  asOnHub,
  z.object({
    id: text.optional(),
    question: text,
    choices: z.object({ text: z.array(text).min(2), label: z.array(text) }),
    answerKey: text,
  }),
);

/**
 * Reads ARC, Easy or Challenge. Ids are the set's own, `arc/Mercury_7175875`, or the file's name and line.
 *
 * @throws Error as `readRows`; a row whose answer is not among its labels is malformed.
 * @example (await readArc('ARC-Challenge-Test.jsonl')).length // 1172
 */
export function readArc(path: string, tolerance?: Tolerance): Promise<Choice[]> {
  return readItems(
    path,
    row,
    ({ id, question, choices, answerKey }, line) => {
      const found = { id: id === undefined ? fileId('arc', path, line) : `arc/${id}`, context: question };
      return toChoice({ ...found, choices: choices.text }, choices.label, answerKey);
    },
    tolerance,
  );
}
