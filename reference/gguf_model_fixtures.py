"""Writes `model.gguf` beside the model of each fixture that GGUF has a place for, with gguf-py and nothing of ours; and
small models of Qwen3 and Gemma 3 as GGUF knows them, in `packages/models/src/test/__fixtures__/gguf/<family>/`.

Run: `pip install gguf==0.19.0 numpy safetensors`, then `python3 reference/gguf_model_fixtures.py` (seconds).

Names come from gguf-py's own table (`get_tensor_name_map`), metadata from its `GGUFWriter`. What llama.cpp's converter
does to the values is said again here: rows of `q_proj` and `k_proj` of Llama from halves to pairs, 1 added to Gemma's
norms, Llama 3's scaling written out as `rope_freqs`. The tokenizer is a stand-in: single bytes and one merge.
"""

import json
import math
import pathlib

import gguf
import numpy as np
from safetensors.numpy import load_file, save_file

SOURCES = pathlib.Path(__file__).parent.parent / "packages/models/src"
FIXTURES = SOURCES / "__fixtures__"
SMALL = SOURCES / "test/__fixtures__/gguf"
ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
}


def pairs(weight, heads):
    """Rows i and i + D/2 of each head, which are turned together, brought side by side."""
    first, second = np.split(weight.reshape(heads, -1, *weight.shape[1:]), 2, axis=1)
    return np.stack([first, second], axis=2).reshape(weight.shape)


def llama3_factors(head_dim, theta, scaling):
    """What each rotary frequency is divided by. Source: the reference code of the Llama 3.1 model card."""
    low = scaling["original_max_position_embeddings"] / scaling["low_freq_factor"]
    high = scaling["original_max_position_embeddings"] / scaling["high_freq_factor"]
    factors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * theta ** (i / head_dim)
        if wavelength < high:
            factors.append(1.0)
        elif wavelength > low:
            factors.append(scaling["factor"])
        else:
            smooth = (scaling["original_max_position_embeddings"] / wavelength - scaling["low_freq_factor"]) / (
                scaling["high_freq_factor"] - scaling["low_freq_factor"]
            )
            factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def write(directory):
    config = json.loads((directory / "config.json").read_text())
    model_type = config["model_type"]
    architecture = ARCHITECTURES[model_type]
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {}
    rope = rope.get("full_attention", rope)
    scaling = config.get("rope_scaling") or (rope if rope.get("rope_type", "default") != "default" else None)
    theta = config.get("rope_theta") or rope["rope_theta"]

    writer = gguf.GGUFWriter(directory / "model.gguf", gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(theta)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    if model_type == "gemma3_text":
        writer.add_sliding_window(config["sliding_window"])
    if scaling and (scaling.get("rope_type") or scaling.get("type")) == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling["factor"])
    tokens = [chr(ord("!") + i) for i in range(config["vocab_size"] - 1)] + ['!"']
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens))
    writer.add_token_merges(['! "'])

    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    for name, weight in load_file(directory / "model.safetensors").items():
        if model_type == "llama" and "q_proj" in name:
            weight = pairs(weight, heads)
        if model_type == "llama" and "k_proj" in name:
            weight = pairs(weight, kv_heads)
        if model_type == "gemma3_text" and name.endswith("norm.weight"):
            weight = weight + np.float32(1)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), weight)
    if scaling and scaling.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(head_dim, theta, scaling))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


COMMON = {
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 4,
    "vocab_size": 20,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
MODELS = {
    "qwen3": {"model_type": "qwen3", "num_hidden_layers": 1, **COMMON},
    "gemma3": {
        "model_type": "gemma3_text",
        "num_hidden_layers": 7,  # of which the sixth sees all positions
        **COMMON,
        "query_pre_attn_scalar": 4,
        "sliding_window": 3,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        "hidden_activation": "gelu_pytorch_tanh",
    },
}


def random_model(config, seed):
    """A Hugging Face directory's tensors, by the names of transformers' modules."""
    rng = np.random.default_rng(seed)
    d, width, D = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    H, K = config["num_attention_heads"], config["num_key_value_heads"]
    shapes = {"model.embed_tokens": (config["vocab_size"], d), "model.norm": (d,)}
    for i in range(config["num_hidden_layers"]):
        parts = {
            "self_attn.q_proj": (H * D, d),
            "self_attn.k_proj": (K * D, d),
            "self_attn.v_proj": (K * D, d),
            "self_attn.o_proj": (d, H * D),
            "self_attn.q_norm": (D,),
            "self_attn.k_norm": (D,),
            "mlp.gate_proj": (width, d),
            "mlp.up_proj": (width, d),
            "mlp.down_proj": (d, width),
            "input_layernorm": (d,),
            "post_attention_layernorm": (d,),
        }
        if config["model_type"] == "gemma3_text":
            parts |= {"pre_feedforward_layernorm": (d,), "post_feedforward_layernorm": (d,)}
        shapes |= {f"model.layers.{i}.{part}": shape for part, shape in parts.items()}
    # Eighths, so that adding 1 and taking it away again is exact.
    return {f"{name}.weight": (rng.integers(-16, 17, shape) / 8).astype(np.float32) for name, shape in shapes.items()}


for seed, (name, config) in enumerate(MODELS.items()):
    (SMALL / name).mkdir(parents=True, exist_ok=True)
    (SMALL / name / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(random_model(config, seed), SMALL / name / "model.safetensors", metadata={"format": "pt"})

# The fixtures' Qwen3 has biases and their Gemma 3 another pattern of layers: GGUF knows neither.
small = [SMALL / name for name in MODELS]
for directory in [*sorted(FIXTURES.glob("llama*")), *sorted(FIXTURES.glob("qwen2*")), *small]:
    write(directory)
    print(directory.name, (directory / "model.gguf").stat().st_size, "bytes")
