"""Trains the tiny model's tokenizer from texts on standard input, one a line. From packages/cli, with the packages built:

    node --input-type=module -e "
      import { arithmetic, plainPrompt } from '@soft-tokens/datasets';
      for (const [levels, count] of [[[1], 500], [[2, 3, 4, 5], 19500]])
        for (const { question, solution } of arithmetic({ split: 'train', seed: 1, levels, count }))
          console.log(plainPrompt(question) + solution);
    " | python3 ../../reference/tiny_tokenizer.py ../models/tiny

Writes tokenizer.json and tokenizer_config.json: a byte-level BPE of at most 512 tokens. All 256 bytes are tokens, so any
text has ids and comes back from them; every digit stands alone, so that numbers are spelt as they are computed with.

512 leave room for the merges that make every word of the corpus, such as " apples", one token; 384 do not. Needs
`pip install tokenizers` (written with 0.23.3). The same texts give the same files.
"""

import json
import os
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 512
PAD, END = "<|pad|>", "<|end|>"


def train(texts):
    tokenizer = Tokenizer(models.BPE())
    # Digits first: a space before a number then stays apart from it.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def check(tokenizer, texts):
    """Refuses a tokenizer that loses text or joins a digit with anything."""
    for text in [*texts, "naïve 你好 🙂 \t\r\n\\boxed{12} ٣", END]:
        back = tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False)
        if back != text:
            raise ValueError(f"tiny_tokenizer: expected {text!r} back, got {back!r}")
    for token in tokenizer.get_vocab():
        if len(token) > 1 and any(character.isdigit() and character.isascii() for character in token):
            raise ValueError(f"tiny_tokenizer: expected every digit to stand alone, got the token {token!r}")


def main(directory, lines):
    texts = [line.rstrip("\n") for line in lines if line.strip()]
    if not texts:
        raise ValueError("tiny_tokenizer: expected texts on standard input, got none")
    tokenizer = train(texts)
    check(tokenizer, texts[:1000])
    os.makedirs(directory, exist_ok=True)
    config = {
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "pad_token": PAD,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    tokenizer.save(os.path.join(directory, "tokenizer.json"))
    with open(os.path.join(directory, "tokenizer_config.json"), "w") as out:
        out.write(json.dumps(config, indent=2) + "\n")
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(texts)]
    print(f"{tokenizer.get_vocab_size()} tokens; a text has {sum(lengths) / len(lengths):.1f}, at most {max(lengths)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("tiny_tokenizer.py: expected one argument, a directory to write to")
    main(sys.argv[1], sys.stdin)
