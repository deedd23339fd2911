import { expect, test, vi } from 'vitest';
import { createChatTemplate } from './chatTemplate.js';
import { prompts, realTokenizer } from './test/tokenizerFixtures.js';

// The shape of ChatML, as Qwen2 writes it.
const chatml =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

test('golden: a ChatML conversation, with and without the opening of the answer', () => {
  const render = createChatTemplate(chatml);
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: '1 + 1?' },
  ];
  const turns = '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1 + 1?<|im_end|>\n';
  expect(render(messages)).toBe(`${turns}<|im_start|>assistant\n`);
  expect(render(messages, { addGenerationPrompt: false })).toBe(turns);
});

test('special tokens and further variables are known to the template', () => {
  const render = createChatTemplate('{{ bos_token }}{{ date_string }}{{ messages[0].content }}', { bos_token: '<s>' });
  const messages = [{ role: 'user', content: 'x' }];
  expect(render(messages, { variables: { date_string: 'today ' } })).toBe('<s>today x');
});

test('refused: broken templates, empty conversations, other content, what the template refuses', () => {
  expect(() => createChatTemplate('{% for %}', {}, 'dir/chat_template')).toThrow('dir/chat_template: expected a Jinja');
  expect(() => createChatTemplate(chatml)([])).toThrow('expected at least one message');
  expect(() => createChatTemplate(chatml)([{ role: 'user', content: 3 as never }])).toThrow('messages[0]');
  const picky = createChatTemplate("{{ raise_exception('roles must alternate') }}");
  expect(() => picky([{ role: 'tool', content: 'x' }])).toThrow('got roles tool: roles must alternate');
});

test('conversations are what transformers renders, or refused where it refuses', () => {
  const { conversations, templates, chats } = prompts();
  const sources: Record<string, string> = { ...templates };
  for (const name of ['llama3', 'qwen3']) sources[name] = realTokenizer(name).config.chat_template as string;
  for (const { template, conversation, variables, text } of chats) {
    const { add_generation_prompt: addGenerationPrompt = true, ...rest } = variables;
    const render = createChatTemplate(sources[template]!, { bos_token: '<s>', eos_token: '</s>' });
    const rendered = () => render(conversations[conversation]!, { addGenerationPrompt, variables: rest });
    if (text === null) expect(rendered).toThrow('expected a conversation the template takes');
    else expect(rendered(), `${template} ${conversation}`).toBe(text);
  }
  expect(new Set(chats.map(({ template }) => template)).size).toBe(6);
  expect(chats.filter(({ text }) => text === null).length).toBeGreaterThan(0);
});

test("today's date is written as in the C locale", () => {
  vi.useFakeTimers({ now: new Date(2024, 6, 6, 7, 8, 9) });
  try {
    const messages = [{ role: 'user', content: 'x' }];
    const render = (format: string) => createChatTemplate(`{{ strftime_now('${format}') }}`)(messages);
    expect(render('%A %a %d %B %b %Y %y-%m %H:%M:%S %%')).toBe('Saturday Sat 06 July Jul 2024 24-07 07:08:09 %');
    expect(() => render('%Q')).toThrow('got %Q');
  } finally {
    vi.useRealTimers();
  }
});
