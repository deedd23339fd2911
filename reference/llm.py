"""Llama and Qwen2 in plain PyTorch, written to be read next to the papers rather than to be fast.

Independent of the TypeScript packages: nothing here is translated from them. Parameters are a flat dictionary under the
names of a Hugging Face checkpoint; a linear weight is `[out, in]`. Every function computes in the dtype of what it is
given, so one model runs in float64 (the fixtures) and in float32 (the check of how far float32 may differ).

Letters: B batch, T time, d hidden size, V vocabulary, H query heads, K key/value heads, D head dim.
Sources: Llama, arXiv:2302.13971; rotary, arXiv:2104.09864; grouped-query attention, arXiv:2305.13245; SwiGLU,
arXiv:2002.05202; RMSNorm, arXiv:1910.07467; Llama-3.1's frequency scaling as in transformers `modeling_rope_utils.py`.
"""

import json
import math
import os
import struct

import numpy as np
import torch

# ---------------------------------------------------------------------------------------------------------------------
# safetensors: u64 little-endian header length, JSON header padded with spaces to 8 bytes, raw little-endian values


def write_safetensors(file, tensors):
    header, chunks, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in tensors.items():
        raw = tensor.detach().to(torch.float32).contiguous().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(raw)]}
        offset += len(raw)
        chunks.append(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(file, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def read_safetensors(file):
    with open(file, "rb") as source:
        blob = source.read()
    (length,) = struct.unpack("<Q", blob[:8])
    header, data = json.loads(blob[8 : 8 + length]), blob[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = data[begin:end]
        if entry["dtype"] == "F32":
            values = np.frombuffer(raw, "<f4").astype(np.float32)
        elif entry["dtype"] == "F16":
            values = np.frombuffer(raw, "<f2").astype(np.float32)
        elif entry["dtype"] == "BF16":  # the upper half of a float32
            values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            raise ValueError(f"{file}: {name}: expected F32, F16 or BF16, got {entry['dtype']}")
        tensors[name] = torch.from_numpy(values.copy()).reshape(entry["shape"])
    return tensors


def read_model_directory(directory, dtype=torch.float64):
    """config.json and the safetensors files of a Hugging Face directory, one file or several shards."""
    with open(os.path.join(directory, "config.json")) as source:
        config = json.load(source)
    parameters = {}
    names = sorted(name for name in os.listdir(directory) if name.startswith("model") and name.endswith(".safetensors"))
    if not names:
        raise FileNotFoundError(f"{directory}: expected model*.safetensors, got none")
    for name in names:
        parameters.update(read_safetensors(os.path.join(directory, name)))
    if config.get("tie_word_embeddings"):
        parameters.pop("lm_head.weight", None)
    return config, {name: tensor.to(dtype) for name, tensor in parameters.items()}


# ---------------------------------------------------------------------------------------------------------------------
# The operations


def rms_norm(x, weight, eps):
    """y = w x / sqrt(mean(x^2) + eps) over the last axis."""
    return weight * x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps)


def rotary_frequencies(head_dim, theta, scaling=None):
    """theta^(-2i/D) for i < D/2, slowed down where Llama-3.1's rule says so: float64 `[D/2]`.

    A frequency whose wavelength exceeds original/low is divided by `factor`; one below original/high is kept; between
    the two the factor is interpolated linearly in original/wavelength.
    """
    frequencies = []
    for i in range(head_dim // 2):
        frequency = theta ** (-2 * i / head_dim)
        kind = (scaling or {}).get("rope_type", "default")
        if kind == "llama3":
            low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
            turns = scaling["original_max_position_embeddings"] * frequency / (2 * math.pi)
            smooth = min(1.0, max(0.0, (turns - low) / (high - low)))
            frequency = (1 - smooth) * frequency / scaling["factor"] + smooth * frequency
        elif kind != "default":
            raise ValueError(f"rope_scaling.rope_type: expected 'llama3' or 'default', got {kind!r}")
        frequencies.append(frequency)
    return torch.tensor(frequencies, dtype=torch.float64)


def rotary_table(head_dim, theta, scaling, positions, dtype):
    """cos and sin `[..., 1, D/2]` for integer `positions` `[...]`; angles always in float64."""
    angles = positions.to(torch.float64)[..., None] * rotary_frequencies(head_dim, theta, scaling)
    return angles.cos().to(dtype)[..., None, :], angles.sin().to(dtype)[..., None, :]


def rotary(x, cos, sin):
    """Rotates the pairs (x_i, x_{i+D/2}), the `rotate_half` layout of Hugging Face. `x` `[B, T, H, D]`."""
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def attention(q, k, v, padding=None, window=None, scale=None):
    """softmax(scale q k^T) v, causal with offset S - T; query head h reads key head floor(h K / H). scale: 1 / sqrt(D).

    `q` `[B, T, H, D]`, `k`, `v` `[B, S, K, D]` -> `[B, T, H, D]`. Keys s < padding[b] are hidden, and those
    that are `window` positions or more before the query. A query that sees no key (it is padding itself) gives 0, so that
    no NaN arises; its value has no meaning.
    """
    (B, T, H, D), (S, K) = q.shape, k.shape[1:3]
    k, v = k.repeat_interleave(H // K, 2), v.repeat_interleave(H // K, 2)
    scores = torch.einsum("bthd,bshd->bhts", q, k)
    scores = scores / math.sqrt(D) if scale is None else scores * scale
    distance = torch.arange(T)[:, None] + (S - T) - torch.arange(S)[None, :]
    visible = ((distance >= 0) & (distance < (S if window is None else window))).expand(B, 1, T, S)
    if padding is not None:
        visible = visible & (torch.arange(S)[None, :] >= padding[:, None])[:, None, None, :]
    scores = scores.masked_fill(~visible, -1e30)
    weights = torch.softmax(scores, -1) * visible
    return torch.einsum("bhts,bshd->bthd", weights, v)


def swiglu(gate, up):
    """silu(gate) up, silu(x) = x / (1 + exp(-x))."""
    return gate * torch.sigmoid(gate) * up


def geglu(gate, up):
    """gelu(gate) up, gelu(x) = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, as PyTorch has it."""
    return torch.nn.functional.gelu(gate, approximate="tanh") * up


# ---------------------------------------------------------------------------------------------------------------------
# The model


class LanguageModel:
    """A Llama or Qwen2 over a dictionary of parameters. Reads input embeddings, as soft tokens need."""

    def __init__(self, config, parameters):
        if config["model_type"] not in ("llama", "qwen2"):
            raise ValueError(f"model_type: expected 'llama' or 'qwen2', got {config['model_type']!r}")
        self.config, self.parameters = config, parameters
        self.embedding = parameters["model.embed_tokens.weight"]  # E [V, d]
        self.head = self.embedding if config["tie_word_embeddings"] else parameters["lm_head.weight"]  # [V, d]
        self.head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]

    def embed(self, ids):
        return self.embedding[torch.as_tensor(ids, dtype=torch.long)]

    def linear(self, x, name):
        y = x @ self.parameters[name + ".weight"].T
        bias = self.parameters.get(name + ".bias")  # Qwen2: q, k and v have one; Llama: none has
        return y if bias is None else y + bias

    def forward(self, inputs):
        """Input embeddings `[B, T, d]` -> final hidden states `[B, T, d]`, after the last norm; position t is t."""
        config, eps = self.config, self.config["rms_norm_eps"]
        B, T, _ = inputs.shape
        H, K, D = config["num_attention_heads"], config["num_key_value_heads"], self.head_dim
        cos, sin = rotary_table(D, config["rope_theta"], config.get("rope_scaling"), torch.arange(T), inputs.dtype)
        x = inputs
        for index in range(config["num_hidden_layers"]):
            layer = f"model.layers.{index}"
            y = rms_norm(x, self.parameters[layer + ".input_layernorm.weight"], eps)
            q = rotary(self.linear(y, layer + ".self_attn.q_proj").reshape(B, T, H, D), cos, sin)
            k = rotary(self.linear(y, layer + ".self_attn.k_proj").reshape(B, T, K, D), cos, sin)
            v = self.linear(y, layer + ".self_attn.v_proj").reshape(B, T, K, D)
            x = x + self.linear(attention(q, k, v).reshape(B, T, H * D), layer + ".self_attn.o_proj")
            y = rms_norm(x, self.parameters[layer + ".post_attention_layernorm.weight"], eps)
            gate, up = self.linear(y, layer + ".mlp.gate_proj"), self.linear(y, layer + ".mlp.up_proj")
            x = x + self.linear(swiglu(gate, up), layer + ".mlp.down_proj")
        return rms_norm(x, self.parameters["model.norm.weight"], eps)

    def logits(self, hidden):
        """`[..., d]` -> `[..., V]`."""
        return hidden @ self.head.T

    def log_prob(self, hidden, ids, temperature=1.0):
        """log softmax(logits / tau) at `ids`: `[T, d]`, `[T]` -> `[T]`."""
        ids = torch.as_tensor(ids, dtype=torch.long)
        return torch.log_softmax(self.logits(hidden) / temperature, -1).gather(-1, ids[..., None])[..., 0]

    def mixture(self, hidden, temperature):
        """h0 = softmax(logits / tau) E, Soft Tokens eq. 5: `[..., d]` -> `[..., d]`."""
        return torch.softmax(self.logits(hidden) / temperature, -1) @ self.embedding


def embedding_rms(embedding):
    """sqrt of the mean of E_vj^2 over all entries; sigma = noiseScale times this."""
    return math.sqrt((embedding.detach().to(torch.float64) ** 2).mean().item())


def score(model, prompt_ids, thought, prefill_ids, answer_ids, temperature, sigma):
    """Log-probabilities of one recorded sample in one parallel pass: thought `[T]`, answer `[A]`, mixtures or None.

    - thought {"ids"}: log softmax(z / tau)[id]; the ids are embedded with gradient
    - thought {"embeddings"}: -(1/(2 sigma^2)) ||h~ - h0||^2, h0 = softmax(z / tau) E; the constant is dropped and the
      recorded h~ are constants (Soft Tokens eq. 8-10)
    - answer: log softmax(z)[id] at temperature 1; the prompt's and the prefilled positions are not scored
    """
    hard = "ids" in thought
    dtype = model.embedding.dtype
    middle = model.embed(thought["ids"]) if hard else torch.as_tensor(thought["embeddings"], dtype=dtype)
    P, T, F, A = len(prompt_ids), len(middle), len(prefill_ids), len(answer_ids)
    middle = middle.reshape(T, model.embedding.shape[1])
    inputs = torch.cat([model.embed(prompt_ids), middle, model.embed(prefill_ids), model.embed(answer_ids)])
    hidden = model.forward(inputs[None])[0]
    before_thought, before_answer = hidden[P - 1 : P - 1 + T], hidden[P + T + F - 1 : P + T + F - 1 + A]
    answer = model.log_prob(before_answer, answer_ids)
    if hard:
        return model.log_prob(before_thought, thought["ids"], temperature), answer, None
    mixtures = model.mixture(before_thought, temperature)
    return -((middle - mixtures) ** 2).sum(-1) / (2 * sigma * sigma), answer, mixtures
