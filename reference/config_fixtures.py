"""Writes `packages/models/src/test/__fixtures__/hubConfigs.json`: what transformers 5 makes of config.json files as they lie on the hub.

Run by a Python with transformers 5: `python3 reference/config_fixtures.py` (seconds). No weights are read. By model:

  hub     its config.json, as transformers 4 wrote it
  five    the same, read and written again by transformers 5
  means   what transformers computes with: headDim, numKeyValueHeads, tied; `kinds`, by letter: theta,
          scaling (null, or type and numbers) and window (null, or positions) of a layer's attention; `layers`, a letter each
"""

import json
import os
import tempfile

from transformers import AutoConfig

FILE = os.path.join(os.path.dirname(__file__), "..", "packages", "models", "src", "test", "__fixtures__", "hubConfigs.json")


def llama(**keys):
    return dict(
        architectures=["LlamaForCausalLM"], attention_bias=False, attention_dropout=0.0, hidden_act="silu",
        initializer_range=0.02, model_type="llama", pretraining_tp=1, rms_norm_eps=1e-05, rope_scaling=None,
        torch_dtype="bfloat16", use_cache=True,
    ) | keys  # fmt: skip


def llama3(factor, **keys):
    return llama(
        bos_token_id=128000, eos_token_id=[128001, 128008, 128009], max_position_embeddings=131072, mlp_bias=False,
        num_key_value_heads=8, rope_theta=500000.0, transformers_version="4.45.0.dev0", vocab_size=128256,
        rope_scaling=dict(
            factor=factor, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192, rope_type="llama3"
        ), **keys,
    )  # fmt: skip


def smol(**keys):
    return llama(
        bos_token_id=1, eos_token_id=2, pad_token_id=2, is_llama_config=True, max_position_embeddings=8192, mlp_bias=False,
        rope_interleaved=False, rope_theta=100000, tie_word_embeddings=True, transformers_version="4.42.3", vocab_size=49152,
    ) | keys  # fmt: skip


def qwen(kind, **keys):
    return dict(
        architectures=[f"{kind.capitalize()}ForCausalLM"], attention_dropout=0.0, bos_token_id=151643, eos_token_id=151645,
        hidden_act="silu", initializer_range=0.02, model_type=kind, rms_norm_eps=1e-06, rope_theta=1000000.0,
        torch_dtype="bfloat16", use_cache=True, use_sliding_window=False, vocab_size=151936,
    ) | keys  # fmt: skip


def mistral(**keys):
    return dict(
        architectures=["MistralForCausalLM"], bos_token_id=1, eos_token_id=2, hidden_act="silu", hidden_size=4096,
        initializer_range=0.02, intermediate_size=14336, max_position_embeddings=32768, model_type="mistral",
        num_attention_heads=32, num_hidden_layers=32, num_key_value_heads=8, rms_norm_eps=1e-05, rope_theta=1000000.0,
        sliding_window=None, tie_word_embeddings=False, torch_dtype="bfloat16", use_cache=True, vocab_size=32768,
    ) | keys  # fmt: skip


def gemma3(**keys):
    return dict(
        architectures=["Gemma3ForCausalLM"], attention_bias=False, attention_dropout=0.0, attn_logit_softcapping=None,
        bos_token_id=2, eos_token_id=[1, 106], final_logit_softcapping=None, head_dim=256,
        hidden_activation="gelu_pytorch_tanh", initializer_range=0.02, max_position_embeddings=32768,
        model_type="gemma3_text", num_attention_heads=4, num_key_value_heads=1, pad_token_id=0, query_pre_attn_scalar=256,
        rms_norm_eps=1e-06, rope_local_base_freq=10000, rope_scaling=None, rope_theta=1000000, sliding_window=512,
        torch_dtype="bfloat16", use_cache=True, vocab_size=262144,
    ) | keys  # fmt: skip


HUB = {
    "Llama-2-7b-hf": llama(
        _name_or_path="meta-llama/Llama-2-7b-hf", bos_token_id=1, eos_token_id=2, hidden_size=4096, intermediate_size=11008,
        max_position_embeddings=4096, num_attention_heads=32, num_hidden_layers=32, num_key_value_heads=32,
        tie_word_embeddings=False, torch_dtype="float16", transformers_version="4.31.0.dev0", vocab_size=32000,
    ),
    "Llama-3.1-8B-Instruct": llama3(
        8.0, hidden_size=4096, intermediate_size=14336, num_attention_heads=32, num_hidden_layers=32, tie_word_embeddings=False
    ),
    "Llama-3.2-1B-Instruct": llama3(
        32.0, head_dim=64, hidden_size=2048, intermediate_size=8192, num_attention_heads=32, num_hidden_layers=16,
        tie_word_embeddings=True,
    ),
    "SmolLM2-135M": smol(
        bos_token_id=0, eos_token_id=0, pad_token_id=None, hidden_size=576, initializer_range=0.041666666666666664,
        intermediate_size=1536, num_attention_heads=9, num_hidden_layers=30, num_key_value_heads=3,
    ),
    "SmolLM2-360M-Instruct": smol(
        hidden_size=960, intermediate_size=2560, num_attention_heads=15, num_hidden_layers=32, num_key_value_heads=5,
        **{"transformers.js_config": dict(kv_cache_dtype=dict(q4f16="float16", fp16="float16"))},
    ),
    "SmolLM2-1.7B-Instruct": smol(
        hidden_size=2048, intermediate_size=8192, num_attention_heads=32, num_hidden_layers=24, num_key_value_heads=32,
        rope_theta=130000,
    ),
    "Qwen2-0.5B": qwen(
        "qwen2", hidden_size=896, intermediate_size=4864, max_position_embeddings=131072, max_window_layers=24,
        num_attention_heads=14, num_hidden_layers=24, num_key_value_heads=2, sliding_window=131072, tie_word_embeddings=True,
        transformers_version="4.40.1",
    ),
    "Qwen2.5-7B-Instruct": qwen(
        "qwen2", hidden_size=3584, intermediate_size=18944, max_position_embeddings=32768, max_window_layers=28,
        num_attention_heads=28, num_hidden_layers=28, num_key_value_heads=4, sliding_window=131072, tie_word_embeddings=False,
        transformers_version="4.43.1", vocab_size=152064,
    ),
    "DeepSeek-R1-Distill-Qwen-1.5B": qwen(
        "qwen2", hidden_size=1536, intermediate_size=8960, max_position_embeddings=131072, max_window_layers=21,
        num_attention_heads=12, num_hidden_layers=28, num_key_value_heads=2, rope_theta=10000, sliding_window=4096,
        tie_word_embeddings=False, transformers_version="4.44.0", use_mrope=False,
    ),
    "Qwen3-0.6B": qwen(
        "qwen3", attention_bias=False, head_dim=128, hidden_size=1024, intermediate_size=3072, max_position_embeddings=40960,
        max_window_layers=28, num_attention_heads=16, num_hidden_layers=28, num_key_value_heads=8, rope_scaling=None,
        sliding_window=None, tie_word_embeddings=True, transformers_version="4.51.0",
    ),
    "Mistral-7B-v0.1": mistral(rope_theta=10000.0, sliding_window=4096, transformers_version="4.34.0.dev0", vocab_size=32000),
    "Mistral-7B-Instruct-v0.3": mistral(attention_dropout=0.0, transformers_version="4.42.0.dev0"),
    "Mistral-Nemo-Instruct-2407": mistral(
        attention_dropout=0.0, head_dim=128, hidden_size=5120, max_position_embeddings=131072, num_hidden_layers=40,
        transformers_version="4.43.0.dev0", vocab_size=131072,
    ),
    "gemma-3-270m": gemma3(
        _sliding_window_pattern=6, hidden_size=640, intermediate_size=2048, num_hidden_layers=18,
        layer_types=(["sliding_attention"] * 5 + ["full_attention"]) * 3, rope_local_base_freq=10000.0,
        rope_theta=1000000.0, transformers_version="4.55.0.dev0", use_bidirectional_attention=False,
    ),
    "gemma-3-1b-it": gemma3(
        cache_implementation="hybrid", hidden_size=1152, intermediate_size=6912, num_hidden_layers=26,
        sliding_window_pattern=6, transformers_version="4.50.0.dev0",
    ),
}  # fmt: skip


def meaning(config):
    """What transformers' modelling code reads of a configuration."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    if kinds is None:  # Mistral: all layers alike
        kinds = ["sliding_attention" if window is not None else "full_attention"] * config.num_hidden_layers
    found = {}
    for kind in sorted(set(kinds)):
        rope = config.rope_parameters.get(kind) or config.rope_parameters
        scaling = {key: value for key, value in rope.items() if key not in ("rope_theta", "partial_rotary_factor")}
        found[kind[0]] = dict(
            theta=rope["rope_theta"], scaling=None if rope["rope_type"] == "default" else scaling,
            window=window if kind == "sliding_attention" else None,
        )  # fmt: skip
    return dict(
        headDim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        numKeyValueHeads=config.num_key_value_heads, tied=config.tie_word_embeddings,
        kinds=found, layers="".join(kind[0] for kind in kinds),
    )  # fmt: skip


if __name__ == "__main__":
    document = {}
    for name, hub in HUB.items():
        with tempfile.TemporaryDirectory() as directory:
            file = os.path.join(directory, "config.json")
            with open(file, "w") as out:
                json.dump(hub, out)
            config = AutoConfig.from_pretrained(directory)
            config.save_pretrained(directory)
            with open(file) as source:
                document[name] = dict(hub=hub, five=json.load(source), means=meaning(config))
    with open(FILE, "w") as out:
        json.dump(document, out, separators=(",", ":"), sort_keys=True)
        out.write("\n")
    print(f"hubConfigs.json: {os.path.getsize(FILE) / 1000:.0f} kB, {len(document)} models")
