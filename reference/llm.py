"""Llama, Qwen2, Qwen3, Mistral and Gemma 3 in plain PyTorch, written to be read next to the papers rather than to be fast.

Independent of the TypeScript packages: nothing here is translated from them. Parameters are a flat dictionary under the
names of a Hugging Face checkpoint; a linear weight is `[out, in]`. Every function computes in the dtype of what it is
given, so one model runs in float64 (the fixtures) and in float32 (the check of how far float32 may differ).

Letters: B batch, T time, d hidden size, V vocabulary, H query heads, K key/value heads, D head dim.
Sources: Llama, arXiv:2302.13971; rotary, arXiv:2104.09864; grouped-query attention, arXiv:2305.13245; SwiGLU,
arXiv:2002.05202; RMSNorm, arXiv:1910.07467; Llama-3.1's frequency scaling as in transformers `modeling_rope_utils.py`;
Mistral, arXiv:2310.06825; Qwen3, arXiv:2505.09388; Gemma 3, arXiv:2503.19786, and transformers `modeling_gemma3.py`.
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


def is_tied(config):
    """Whether the embedding is the output matrix; Gemma's files need not say so."""
    return config.get("tie_word_embeddings", config["model_type"] == "gemma3_text")


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
    if is_tied(config):
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
    the two the factor is interpolated linearly in original/wavelength. Type linear divides them all.
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
        elif kind == "linear":
            frequency /= scaling["factor"]
        elif kind != "default":
            raise ValueError(f"rope_scaling.rope_type: expected 'llama3', 'linear' or 'default', got {kind!r}")
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


MODEL_TYPES = ("llama", "qwen2", "qwen3", "mistral", "gemma3_text")


def layer_attention(config):
    """Of each layer: theta, scaling of its rotary positions, and window (None: all before)."""
    layers = config["num_hidden_layers"]
    if config["model_type"] != "gemma3_text":
        window = config.get("sliding_window") if config["model_type"] == "mistral" else None
        return [dict(theta=config["rope_theta"], scaling=config.get("rope_scaling"), window=window)] * layers
    rope = config.get("rope_parameters")
    if rope:
        local, whole = ({**rope[kind], "theta": rope[kind]["rope_theta"]} for kind in ("sliding_attention", "full_attention"))
    else:
        local = dict(theta=config["rope_local_base_freq"])
        whole = dict(config.get("rope_scaling") or {}, theta=config["rope_theta"])
    sliding = dict(theta=local["theta"], scaling=local, window=config["sliding_window"])
    full = dict(theta=whole["theta"], scaling=whole, window=None)
    kinds = config.get("layer_types")
    if kinds is None:
        pattern = config["sliding_window_pattern"]
        kinds = ["sliding_attention" if (i + 1) % pattern else "full_attention" for i in range(layers)]
    return [sliding if kind == "sliding_attention" else full for kind in kinds]


class LanguageModel:
    """A model of any of MODEL_TYPES over a dictionary of parameters. Reads input embeddings, as soft tokens need."""

    def __init__(self, config, parameters):
        kind = config["model_type"]
        if kind not in MODEL_TYPES:
            raise ValueError(f"model_type: expected one of {MODEL_TYPES}, got {kind!r}")
        self.config, self.parameters = config, parameters
        self.embedding = parameters["model.embed_tokens.weight"]  # E [V, d]
        self.head = self.embedding if is_tied(config) else parameters["lm_head.weight"]  # [V, d]
        self.head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        gemma = kind == "gemma3_text"
        self.scale = math.sqrt(config["hidden_size"]) if gemma else 1.0  # the stack reads the rows of scale E
        self.offset = 1.0 if gemma else 0.0  # norms multiply by offset + weight
        self.gated = geglu if gemma else swiglu
        self.attention_scale = config["query_pre_attn_scalar"] ** -0.5 if gemma else None

    def embed(self, ids):
        return self.scale * self.embedding[torch.as_tensor(ids, dtype=torch.long)]

    def linear(self, x, name):
        y = x @ self.parameters[name + ".weight"].T
        bias = self.parameters.get(name + ".bias")  # Qwen2: q, k and v have one; Llama: none has
        return y if bias is None else y + bias

    def norm(self, x, name):
        """The norm of a name, or x itself where the model has none there."""
        weight = self.parameters.get(name + ".weight")
        return x if weight is None else rms_norm(x, self.offset + weight, self.config["rms_norm_eps"])

    def forward(self, inputs):
        """Input embeddings `[B, T, d]` -> final hidden states `[B, T, d]`, after the last norm; position t is t."""
        config = self.config
        B, T, _ = inputs.shape
        H, K, D = config["num_attention_heads"], config["num_key_value_heads"], self.head_dim
        x = inputs
        for index, seen in enumerate(layer_attention(config)):
            cos, sin = rotary_table(D, seen["theta"], seen["scaling"], torch.arange(T), inputs.dtype)
            layer = f"model.layers.{index}"
            y = self.norm(x, layer + ".input_layernorm")
            q = self.linear(y, layer + ".self_attn.q_proj").reshape(B, T, H, D)
            k = self.linear(y, layer + ".self_attn.k_proj").reshape(B, T, K, D)
            v = self.linear(y, layer + ".self_attn.v_proj").reshape(B, T, K, D)
            q = rotary(self.norm(q, layer + ".self_attn.q_norm"), cos, sin)
            k = rotary(self.norm(k, layer + ".self_attn.k_norm"), cos, sin)
            y = attention(q, k, v, window=seen["window"], scale=self.attention_scale).reshape(B, T, H * D)
            y = self.linear(y, layer + ".self_attn.o_proj")
            if config["model_type"] == "gemma3_text":
                x = x + self.norm(y, layer + ".post_attention_layernorm")
                y = self.norm(x, layer + ".pre_feedforward_layernorm")
            else:
                x = x + y
                y = self.norm(x, layer + ".post_attention_layernorm")
            gate, up = self.linear(y, layer + ".mlp.gate_proj"), self.linear(y, layer + ".mlp.up_proj")
            y = self.linear(self.gated(gate, up), layer + ".mlp.down_proj")
            x = x + self.norm(y, layer + ".post_feedforward_layernorm")
        return self.norm(x, "model.norm")

    def logits(self, hidden):
        """`[..., d]` -> `[..., V]`."""
        return hidden @ self.head.T

    def log_prob(self, hidden, ids, temperature=1.0):
        """log softmax(logits / tau) at `ids`: `[T, d]`, `[T]` -> `[T]`."""
        ids = torch.as_tensor(ids, dtype=torch.long)
        return torch.log_softmax(self.logits(hidden) / temperature, -1).gather(-1, ids[..., None])[..., 0]

    def mixture(self, hidden, temperature):
        """h0 = softmax(logits / tau) (scale E), Soft Tokens eq. 5: `[..., d]` -> `[..., d]`."""
        return self.scale * (torch.softmax(self.logits(hidden) / temperature, -1) @ self.embedding)


def embedding_rms(model):
    """sqrt of the mean square over all entries of scale E, which the stack is fed; sigma = noiseScale times this."""
    return model.scale * math.sqrt((model.embedding.detach().to(torch.float64) ** 2).mean().item())


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
