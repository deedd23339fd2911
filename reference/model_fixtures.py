"""Writes `packages/models/src/__fixtures__/<case>/`: tiny models and what PyTorch computes from them.

Run: `python3 reference/model_fixtures.py` (seconds). Computed in float64 from weights and recorded embeddings that are
exact in float32; written with 9 significant digits. Each case is also recomputed in float32, and refused if any
gradient differs by more than 1e-4 of its tensor's largest entry (another seed is then tried); the differences are printed.

In each directory (B = 2 prompts, G = 3 samples a prompt, N = B G = 6, sample n belongs to prompt floor(n / G)):

- `config.json`, `model.safetensors`   a Hugging Face model directory, float32; tied models hold no lm_head.weight
- `gradients-hard.safetensors`, `gradients-soft.safetensors`, `gradients-fuzzy.safetensors`
                                       d loss / d parameter of `modes.<mode>.loss`, one tensor per parameter, same names
- `gradients-supervised.safetensors`   the same for `supervised.loss`
- `expected.json`, nested arrays, natural logarithms:

  seed                         integer, how the case was drawn; for the record only
  sequence.ids                 [24]       one ordinary sequence of ids, positions 0..23
  sequence.hidden              [24][d]    final hidden states, after model.norm: what the head reads
  sequence.logits              [24][V]
  supervised.sequences[]       {ids [T], positions []}: position t is scored as log softmax(logits[t])[ids[t + 1]]
  supervised.loss              -mean over all scored positions of both sequences together
  rms                          sqrt(mean of E_vj^2) over all V d entries; for Gemma sqrt(d) times that, as it is fed
  prefillIds                   [2]        the same for all samples; not scored
  prompts[B]                   {promptIds [5 or 7], rewards [G], advantages [G]}: leave-one-out, r_g - mean of the others
  modes.hard|soft|fuzzy
    temperature, noiseScale    hard 1, 0; soft 0.5, 0.33; fuzzy 1e-4, 0.33
    sigma                      noiseScale rms (0 for hard)
    loss                       -(1/(B G)) sum over n of A_n (sum thoughtLogProb + sum answerLogProb), Soft Tokens eq. 14
    samples[N]
      prompt                   0..B-1
      thought                  {ids [T]} for hard; {embeddings [T][d]}, the recorded h~, for soft and fuzzy; T is 3..6
      answerIds                [2..4]     drawn from the model at temperature 1
      thoughtLogProb           [T]  hard: log softmax(z)[id]; else -(1/(2 sigma^2)) ||h~_t - h0_t||^2, constant left out
      answerLogProb            [A]  temperature 1
      shadowIds                [T]  the greedy id of each thought position
      mixtures                 [T][d]     h0_t; soft and fuzzy only

The stack reads  prompt | thought | prefill | answer  at positions 0, 1, 2, ...; a state predicts the next position, so
the prompt's last state scores thought 0 and the prefill's last state scores answer 0. Recorded h~ are constants; ids,
hard thoughts' among them, are embedded with gradient.

Fuzzy: at temperature 1e-4 a softmax is only stable in float32 when it is one-hot, so the seed is chosen with every top-2
logit gap of a thought position above MIN_GAP. Near-ties are tested in `op_fixtures.py`, on logits exact in float32.
"""

import json
import os
import sys

import torch

from llm import LanguageModel, embedding_rms, is_tied, read_safetensors, score, write_safetensors

FIXTURES = os.path.join(os.path.dirname(__file__), "..", "packages", "models", "src", "__fixtures__")
MODES = {"hard": (1.0, 0.0), "soft": (0.5, 0.33), "fuzzy": (1e-4, 0.33)}  # temperature, noise scale
PROMPT_LENGTHS, THOUGHT_LENGTHS, ANSWER_LENGTHS = [5, 7], [3, 6, 4, 5, 3, 6], [2, 4, 3, 4, 3, 2]
REWARDS = [[100.0, 10.0, 0.0], [0.0, 10.0, 10.0]]
G = 3
MIN_GAP = 0.02  # 200 temperatures: the runner-up's weight is below e^-200
TOLERANCE = 1e-4

LLAMA = dict(architectures=["LlamaForCausalLM"], model_type="llama", attention_bias=False, mlp_bias=False)
QWEN2 = dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2", use_sliding_window=False)
QWEN3 = dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", use_sliding_window=False, attention_bias=False)
MISTRAL = dict(architectures=["MistralForCausalLM"], model_type="mistral")
GEMMA3 = dict(architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", attention_bias=False, hidden_activation="gelu_pytorch_tanh")
# Original length 24 with turns 1 to 3 puts one of the four frequencies of theta 100 above, one between, two below.
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=3.0, original_max_position_embeddings=24)


LEFT_OUT = object()


def make_config(family, hidden, intermediate, heads, kv_heads, vocab, tied, **extra):
    config = dict(
        family, hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=2, num_attention_heads=heads,
        num_key_value_heads=kv_heads, vocab_size=vocab, rms_norm_eps=1e-5, rope_theta=10000.0, rope_scaling=None,
        tie_word_embeddings=tied, max_position_embeddings=128, hidden_act="silu", torch_dtype="float32",
    )  # fmt: skip
    config.update(extra)
    return {key: value for key, value in config.items() if value is not LEFT_OUT}


CASES = {
    "llama-tied": make_config(LLAMA, 16, 24, 2, 2, 40, True),
    "llama-untied-gqa": make_config(LLAMA, 16, 24, 4, 2, 44, False, head_dim=8),  # H D = 32, twice the hidden size
    "llama3-rope": make_config(LLAMA, 16, 24, 2, 1, 40, True, rope_theta=100.0, rope_scaling=LLAMA3, max_position_embeddings=192),
    "qwen2-tied": make_config(QWEN2, 16, 24, 2, 1, 40, True, rms_norm_eps=1e-6, rope_theta=1000000.0),
    "qwen2-untied-gqa": make_config(QWEN2, 16, 20, 4, 2, 52, False, rms_norm_eps=1e-6),
    "qwen3": make_config(QWEN3, 12, 16, 4, 2, 36, False, head_dim=6, rms_norm_eps=1e-6, rope_theta=1e6, attention_bias=True),
    # The shortest of the sequences that are scored reads 12 positions, so windows of 5 and less matter in each.
    "mistral-window": make_config(MISTRAL, 12, 16, 2, 1, 36, False, head_dim=8, sliding_window=5),
    # As transformers 4 writes it: three layers, the middle one of which sees everything.
    "gemma3": make_config(
        GEMMA3, 12, 16, 2, 1, 36, LEFT_OUT, head_dim=8, num_hidden_layers=3, query_pre_attn_scalar=6, sliding_window=4,
        sliding_window_pattern=2, rope_theta=1000.0, rope_local_base_freq=50.0, rms_norm_eps=1e-6, hidden_act=LEFT_OUT,
        attn_logit_softcapping=None, final_logit_softcapping=None, cache_implementation="hybrid",
    ),
    # As transformers 5 does: nested positions, listed layers; its global positions are scaled.
    "gemma3-linear": make_config(
        GEMMA3, 12, 16, 4, 2, 36, True, head_dim=6, query_pre_attn_scalar=9, sliding_window=3,
        layer_types=["full_attention", "sliding_attention"], rope_theta=LEFT_OUT, rope_scaling=LEFT_OUT, hidden_act=LEFT_OUT,
        rope_parameters=dict(
            full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000.0),
            sliding_attention=dict(rope_type="default", rope_theta=10.0),
        ),
        torch_dtype=LEFT_OUT, dtype="float32", use_bidirectional_attention=False,
    ),
}


def make_parameters(config, generator):
    d, f, V = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    H, K = config["num_attention_heads"], config["num_key_value_heads"]
    D = config.get("head_dim", d // H)

    def normal(*shape, std, mean=0.0):  # rounded to float32: what the file holds is exactly what is computed with
        return (mean + std * torch.randn(*shape, generator=generator, dtype=torch.float64)).float().double()

    # Gemma's norms multiply by 1 + weight.
    gemma = config["model_type"] == "gemma3_text"
    norm = lambda size, mean: normal(size, std=0.1, mean=mean - gemma)
    biased = {"qwen2": "qkv"}.get(config["model_type"], "qkvo" if config.get("attention_bias") else "")

    parameters = {"model.embed_tokens.weight": normal(V, d, std=0.5)}
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        parameters[layer + ".input_layernorm.weight"] = norm(d, 1.05)
        for name, rows, width, std in (
            ("q", H * D, d, 1.2 * d**-0.5), ("k", K * D, d, 1.2 * d**-0.5), ("v", K * D, d, 1.2 * d**-0.5),
            ("o", d, H * D, (H * D) ** -0.5),
        ):  # fmt: skip
            parameters[f"{layer}.self_attn.{name}_proj.weight"] = normal(rows, width, std=std)
            if name in biased:
                parameters[f"{layer}.self_attn.{name}_proj.bias"] = normal(rows, std=0.3)
        if gemma or config["model_type"] == "qwen3":
            parameters[layer + ".self_attn.q_norm.weight"] = norm(D, 1.1)
            parameters[layer + ".self_attn.k_norm.weight"] = norm(D, 0.9)
        parameters[layer + ".post_attention_layernorm.weight"] = norm(d, 0.95)
        if gemma:
            parameters[layer + ".pre_feedforward_layernorm.weight"] = norm(d, 1.0)
            parameters[layer + ".post_feedforward_layernorm.weight"] = norm(d, 1.1)
        parameters[layer + ".mlp.gate_proj.weight"] = normal(f, d, std=d**-0.5)
        parameters[layer + ".mlp.up_proj.weight"] = normal(f, d, std=d**-0.5)
        parameters[layer + ".mlp.down_proj.weight"] = normal(d, f, std=f**-0.5)
    parameters["model.norm.weight"] = norm(d, 1.0)
    if not is_tied(config):
        parameters["lm_head.weight"] = normal(V, d, std=0.5)
    return parameters


def draw_ids(count, vocab, generator):
    return torch.randint(0, vocab, (count,), generator=generator).tolist()


def leave_one_out(rewards):
    return [r - (sum(rewards) - r) / (len(rewards) - 1) for r in rewards]


def roll_out(model, prompt_ids, prefill_ids, thought_length, answer_length, mode, sigma, generator):
    """Thinks and answers step by step, the whole sequence recomputed at each step: the action, shadow and answer ids."""
    temperature, _ = MODES[mode]
    inputs, ids, embeddings, shadow, gap = model.embed(prompt_ids), [], [], [], float("inf")
    for _ in range(thought_length):
        hidden = model.forward(inputs[None])[0, -1]
        logits = model.logits(hidden)
        best = logits.topk(2)
        shadow.append(best.indices[0].item())
        gap = min(gap, (best.values[0] - best.values[1]).item())
        if mode == "hard":
            ids.append(torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator).item())
            following = model.embed(ids[-1:])
        else:
            noise = torch.randn(hidden.shape, generator=generator, dtype=torch.float64)
            following = (model.mixture(hidden, temperature) + sigma * noise).float().double()[None]
            embeddings.append(following[0].tolist())
        inputs = torch.cat([inputs, following])
    inputs, answer_ids = torch.cat([inputs, model.embed(prefill_ids)]), []
    for _ in range(answer_length):
        logits = model.logits(model.forward(inputs[None])[0, -1])
        answer_ids.append(torch.multinomial(torch.softmax(logits, -1), 1, generator=generator).item())
        inputs = torch.cat([inputs, model.embed(answer_ids[-1:])])
    return {"ids": ids} if mode == "hard" else {"embeddings": embeddings}, shadow, answer_ids, gap


def draw_case(config, seed):
    """Weights, ids and recorded actions: everything random about a case, and its smallest fuzzy logit gap."""
    generator = torch.Generator().manual_seed(seed)
    parameters, V = make_parameters(config, generator), config["vocab_size"]
    model = LanguageModel(config, parameters)
    drawn = dict(
        sequence=draw_ids(24, V, generator),
        supervised=[
            dict(ids=draw_ids(9, V, generator), positions=[2, 3, 4, 5, 6, 7]),
            dict(ids=draw_ids(6, V, generator), positions=[0, 3, 4]),
        ],
        prefill=draw_ids(2, V, generator),
        prompts=[draw_ids(length, V, generator) for length in PROMPT_LENGTHS],
        rms=embedding_rms(model),
        modes={},
    )
    fuzzy_gap = float("inf")
    for mode, (_, noise_scale) in MODES.items():
        drawn["modes"][mode] = samples = []
        for n, (thought_length, answer_length) in enumerate(zip(THOUGHT_LENGTHS, ANSWER_LENGTHS)):
            thought, shadow, answer, gap = roll_out(
                model, drawn["prompts"][n // G], drawn["prefill"], thought_length, answer_length, mode,
                noise_scale * drawn["rms"], generator,
            )  # fmt: skip
            samples.append(dict(prompt=n // G, thought=thought, answerIds=answer, shadowIds=shadow))
            if mode == "fuzzy":
                fuzzy_gap = min(fuzzy_gap, gap)
    return parameters, drawn, fuzzy_gap


def evaluate(config, parameters, drawn, dtype):
    """Everything expected, in one dtype: the JSON document, and gradients by loss name."""
    leaves = {name: tensor.to(dtype).requires_grad_(True) for name, tensor in parameters.items()}
    model, gradients = LanguageModel(config, leaves), {}

    def differentiate(name, loss):
        values = torch.autograd.grad(loss, list(leaves.values()))
        gradients[name] = dict(zip(leaves, values))
        return loss.item()

    hidden = model.forward(model.embed(drawn["sequence"])[None])[0]
    document = dict(sequence=dict(ids=drawn["sequence"], hidden=hidden.tolist(), logits=model.logits(hidden).tolist()))

    scored = []
    for sequence in drawn["supervised"]:
        states = model.forward(model.embed(sequence["ids"])[None])[0][sequence["positions"]]
        scored.append(model.log_prob(states, [sequence["ids"][t + 1] for t in sequence["positions"]]))
    loss = differentiate("supervised", -torch.cat(scored).mean())
    document["supervised"] = dict(sequences=drawn["supervised"], loss=loss)

    document.update(rms=drawn["rms"], prefillIds=drawn["prefill"], prompts=[])
    for prompt, rewards in zip(drawn["prompts"], REWARDS):
        document["prompts"].append(dict(promptIds=prompt, rewards=rewards, advantages=leave_one_out(rewards)))

    document["modes"] = {}
    for mode, (temperature, noise_scale) in MODES.items():
        sigma, total, samples = noise_scale * drawn["rms"], 0.0, []
        for n, sample in enumerate(drawn["modes"][mode]):
            prompt = document["prompts"][sample["prompt"]]
            thought, answer, mixtures = score(
                model, prompt["promptIds"], sample["thought"], drawn["prefill"], sample["answerIds"], temperature, sigma
            )
            total = total + prompt["advantages"][n % G] * (thought.sum() + answer.sum())
            sample = dict(sample, thoughtLogProb=thought.tolist(), answerLogProb=answer.tolist())
            if mixtures is not None:
                sample["mixtures"] = mixtures.tolist()
            samples.append(sample)
        loss = differentiate(mode, -total / len(samples))
        document["modes"][mode] = dict(temperature=temperature, noiseScale=noise_scale, sigma=sigma, loss=loss, samples=samples)
    return document, gradients


def numbers(value):
    """All numbers of a nested document, flat and in order."""
    if isinstance(value, dict):
        return [x for item in value.values() for x in numbers(item)]
    if isinstance(value, list):
        return [x for item in value for x in numbers(item)]
    return [float(value)]


def largest_difference(one, other):
    """max |a - b| / max |b|, over the entries of two documents or tensors."""
    a, b = (x.double() if torch.is_tensor(x) else torch.tensor(numbers(x), dtype=torch.float64) for x in (one, other))
    return ((a - b).abs().max() / b.abs().max()).item()


def rounded(value):
    """Floats to 9 significant digits, enough to give back any float32 exactly."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def float32_differences(document, gradients, config, parameters, drawn):
    single, single_gradients = evaluate(config, parameters, drawn, torch.float32)
    differences = {
        "hidden": largest_difference(single["sequence"]["hidden"], document["sequence"]["hidden"]),
        "logits": largest_difference(single["sequence"]["logits"], document["sequence"]["logits"]),
    }
    for mode in MODES:
        for key in ("thoughtLogProb", "answerLogProb"):
            pick = lambda source: [sample[key] for sample in source["modes"][mode]["samples"]]
            differences[f"{mode} {key}"] = largest_difference(pick(single), pick(document))
        differences[f"{mode} loss"] = largest_difference([single["modes"][mode]["loss"]], [document["modes"][mode]["loss"]])
    worst = {}
    for loss, by_name in gradients.items():
        each = {name: largest_difference(single_gradients[loss][name], tensor) for name, tensor in by_name.items()}
        name = max(each, key=each.get)
        worst[loss] = (each[name], name)
    return differences, worst


def without(config):
    """What a case is there for, by name, and its configuration without."""
    if config.get("rope_scaling"):
        yield "scaling", dict(config, rope_scaling=None)
    if "rope_parameters" in config:
        nested = config["rope_parameters"]
        yield "scaling", dict(config, rope_parameters=dict(nested, full_attention=dict(nested["full_attention"], factor=1.0)))
    if config.get("sliding_window"):
        yield "a window", dict(config, sliding_window=1000)


def write_case(case, config, first_seed):
    for seed in range(first_seed, first_seed + 2000):
        parameters, drawn, gap = draw_case(config, seed)
        if gap < MIN_GAP:
            continue
        document, gradients = evaluate(config, parameters, drawn, torch.float64)
        differences, worst = float32_differences(document, gradients, config, parameters, drawn)
        if max(value for value, _ in worst.values()) <= TOLERANCE:
            break
    else:
        sys.exit(f"{case}: expected a seed with gaps above {MIN_GAP} and float32 within {TOLERANCE}, got none; widen them")

    directory = os.path.join(FIXTURES, case)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "config.json"), "w") as out:
        json.dump(config, out, indent=2)
        out.write("\n")
    write_safetensors(os.path.join(directory, "model.safetensors"), parameters)
    for loss, tensors in gradients.items():
        write_safetensors(os.path.join(directory, f"gradients-{loss}.safetensors"), tensors)
    with open(os.path.join(directory, "expected.json"), "w") as out:
        json.dump(rounded(dict(seed=seed, **document)), out, separators=(",", ":"))
        out.write("\n")
    stored = read_safetensors(os.path.join(directory, "model.safetensors"))
    assert all(torch.equal(stored[name].double(), parameters[name]) for name in parameters)

    size = sum(os.path.getsize(os.path.join(directory, name)) for name in os.listdir(directory))
    logits = torch.tensor(document["sequence"]["logits"])
    print(f"{case}: seed {seed}, {size / 1000:.0f} kB, logits sd {logits.std():.2f}, smallest fuzzy gap {gap:.3f}")
    for what, plain in without(config):
        other, _ = evaluate(plain, parameters, drawn, torch.float64)
        change = (torch.tensor(other["sequence"]["logits"]) - logits).abs().max(1).values
        print(f"  without {what}, logits would move by {change[:8].max():.2f} (positions < 8), {change.max():.2f} (all)")
    print("  float32 against float64, max |a - b| / max |b|:")
    print("   ", ", ".join(f"{name} {value:.1e}" for name, value in differences.items()))
    for loss, (value, name) in worst.items():
        norm = sum((tensor**2).sum() for tensor in gradients[loss].values()).sqrt()
        smallest = min(tensor.abs().max() for tensor in gradients[loss].values())
        print(f"    gradients-{loss}: worst {value:.1e} at {name}; norm {norm:.3g}, smallest tensor's max {smallest:.2g}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for number, (case, config) in enumerate(CASES.items()):
        write_case(case, config, 1000 * (number + 1))
