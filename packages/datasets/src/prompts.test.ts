import { expect, test } from 'vitest';
import { paperPrompt, plainPrompt, prefill, promptTemplates, stopPhrase } from './prompts.js';

test('the paper prompt, letter by letter', () => {
  // Butt et al. 2025, arXiv:2509.19170, appendix B
  expect(paperPrompt('What is $1+1$?')).toBe(
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant first shows the complete reasoning process step by step, then provides the final answer in \\boxed{}. The assistant must always follow the format: 'User: [question] Assistant: [detailed reasoning] The final answer is: \\boxed{[answer]}.' User: What is $1+1$? Assistant:",
  );
});

test('the plain prompt, phrase and prefills', () => {
  expect(plainPrompt('$& $1')).toBe('User: $& $1 Assistant:');
  expect(stopPhrase).toBe('The final answer is:');
  expect(prefill).toEqual({ stopped: '\\boxed{', capped: 'The final answer is: \\boxed{' });
});

test('templates by name', () => {
  expect(promptTemplates).toEqual({ paper: paperPrompt, plain: plainPrompt });
});
