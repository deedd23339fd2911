import { describe, expect, test } from 'vitest';
import { readArc } from './arc.js';
import { arithmeticChoices } from './arithmeticChoices.js';
import { arcPrompt, hellaswagPrompt, mmluPrompt, solutionPrompt } from './choicePrompts.js';
import { readHellaswag } from './hellaswag.js';
import { readMmlu } from './mmlu.js';
import { paperPrompt } from './prompts.js';
import { fixture } from './test/files.js';

// The templates of lm-evaluation-harness's YAML files, filled in by hand for the first row of each fixture.
describe('choices as text', () => {
  test('HellaSwag', async () => {
    const [choice] = await readHellaswag(fixture('hellaswag.jsonl'));
    expect(hellaswagPrompt(choice!)).toEqual({
      context: 'High jump: A boy is running down a track. the boy',
      choices: [
        ' runs into a car.',
        ' gets in a mat.',
        ' lifts his body above the height of a pole.',
        ' stands on his hands and springs.',
      ],
    });
  });

  test('ARC', async () => {
    const [choice] = await readArc(fixture('arcEasy.jsonl'));
    expect(arcPrompt(choice!)).toEqual({
      context: 'Question: What causes sound?\nAnswer:',
      choices: [' sunlight', ' vibrations', ' x-rays', ' pitch'],
    });
  });

  test('MMLU', async () => {
    const [choice] = await readMmlu(fixture('mmlu.jsonl'));
    expect(mmluPrompt(choice!)).toEqual({
      context:
        'The following are multiple choice questions (with answers) about abstract algebra.\n\n' +
        'Find the characteristic of the ring 2Z.\nA. 0\nB. 3\nC. 12\nD. 30\nAnswer:',
      choices: [' A', ' B', ' C', ' D'],
    });
  });

  test('MMLU without a subject, and with white space around the question', () => {
    const choice = { id: 'a', context: ' What? \n', choices: ['x', 'y'], correct: 0 };
    expect(mmluPrompt(choice)).toEqual({
      context: 'The following are multiple choice questions (with answers).\n\nWhat?\nA. x\nB. y\nAnswer:',
      choices: [' A', ' B'],
    });
  });

  test('solutions', () => {
    const [choice] = arithmeticChoices({ split: 'test', count: 1, seed: 1, levels: [2] });
    const { context, choices } = solutionPrompt(choice!);
    expect(context).toBe(`User: ${choice!.context} Assistant:`);
    expect(choices).toBe(choice!.choices);
    expect(solutionPrompt(choice!, paperPrompt).context).toBe(paperPrompt(choice!.context));
  });
});
