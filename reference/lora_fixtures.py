"""Writes `packages/models/src/test/__fixtures__/<case>/`: adapters that PEFT made, and what it computes with them.

Run: `python3 reference/lora_fixtures.py` (seconds; needs peft and transformers, tried with 0.21.2 and 5.23.0). Computed in
float64 on the tiny models of `model_fixtures.py`; transformers computes rotary tables, norms and softmaxes in float32 all the
same, so expect agreement within 1e-5.

- `adapter_config.json`, `adapter_model.safetensors`   as PEFT's `save_pretrained` leaves them, float32; B is not 0
- `gradients.safetensors`   d loss / d parameter of `loss`, under the same names
- `expected.json`           ids [24], logits [24][V], loss: the mean of -log softmax(logits[t])[ids[t + 1]]

`python3 reference/lora_fixtures.py check ADAPTER...` opens adapters that soft-tokens saved with PEFT, and compares the
log-probabilities that `soft-tokens score` gives (build the command line first) with PEFT's; exit code 1 where they differ.
"""

import json
import os
import subprocess
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MODELS = os.path.join(ROOT, "packages", "models", "src", "__fixtures__")
FIXTURES = os.path.join(ROOT, "packages", "models", "src", "test", "__fixtures__")
LENGTH = 24
TOLERANCE = 1e-5

# model, and what of LoraConfig is not the default; dropout is of training alone
CASES = {
    "lora-qv": ("llama-untied-gqa", dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], lora_dropout=0.1)),
    "lora-all-rs": ("qwen2-tied", dict(r=3, lora_alpha=5, target_modules="all-linear", use_rslora=True)),
}


def base_model(directory):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).double().eval()


def next_log_prob(model, ids):
    """Logits [T, V], and log softmax(logits[t])[ids[t + 1]] for all t but the last."""
    logits = model(torch.tensor([ids])).logits[0]
    return logits, torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


def write_case(name, seed):
    base, settings = CASES[name]
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # PEFT's own draws
    model = get_peft_model(base_model(os.path.join(MODELS, base)), LoraConfig(task_type="CAUSAL_LM", **settings))
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        if "lora_" in parameter_name:
            parameter.data = parameter.data.float().double()  # what the file holds is exactly what is computed with
    model.eval()
    ids = torch.randint(0, model.config.vocab_size, (LENGTH,), generator=generator).tolist()
    logits, log_prob = next_log_prob(model, ids)
    with model.disable_adapter():
        moved = (logits - next_log_prob(model, ids)[0]).abs().max().item()
    loss = -log_prob.mean()
    loss.backward()
    plain = lambda parameter_name: parameter_name.replace(".default.", ".")
    gradients = {
        plain(parameter_name): parameter.grad.float().contiguous()
        for parameter_name, parameter in model.named_parameters() if parameter.grad is not None
    }  # fmt: skip

    directory = os.path.join(FIXTURES, name)
    os.makedirs(directory, exist_ok=True)
    model.peft_config["default"].base_model_name_or_path = f"../../../__fixtures__/{base}"
    model.float().save_pretrained(directory)
    os.remove(os.path.join(directory, "README.md"))
    save_file(gradients, os.path.join(directory, "gradients.safetensors"), metadata={"format": "pt"})
    rounded = [[float(f"{x:.9g}") for x in row] for row in logits.tolist()]
    with open(os.path.join(directory, "expected.json"), "w") as file:
        json.dump(dict(ids=ids, logits=rounded, loss=loss.item()), file, separators=(",", ":"))
        file.write("\n")
    print(f"{name}: {len(gradients)} tensors, loss {loss.item():.6f}, the adapter moves logits by up to {moved:.2f}")


def check(adapter):
    """Whether PEFT computes with an adapter of ours what we do."""
    with open(os.path.join(adapter, "adapter_config.json")) as file:
        model = PeftModel.from_pretrained(base_model(json.load(file)["base_model_name_or_path"]), adapter).eval()
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, model.config.vocab_size, (LENGTH,), generator=generator).tolist()
    with torch.no_grad():
        want = next_log_prob(model, ids)[1][3:]
        with model.disable_adapter():
            moved = (next_log_prob(model, ids)[1][3:] - want).abs().max().item()
    line = dict(promptIds=ids[:4], thought=dict(ids=ids[4:]), answerIds=[], mode=dict(name="hard", temperature=1, noiseScale=0))
    command = ["node", os.path.join(ROOT, "packages", "cli", "dist", "bin.js"), "score", adapter]
    done = subprocess.run(command, input=json.dumps(line) + "\n", capture_output=True, text=True, check=True)
    got = torch.tensor(json.loads(done.stdout)["thoughtLogProb"], dtype=torch.float64)
    difference = ((got - want).abs().max() / want.abs().max()).item()
    good = difference <= TOLERANCE  # NaN is not
    print(f"{'ok  ' if good else 'FAIL'} {adapter}: {difference:.1e}; the adapter moves log-probabilities by up to {moved:.2f}")
    return good


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"]:
        sys.exit(not all([check(adapter) for adapter in sys.argv[2:]]))
    for seed, name in enumerate(CASES):
        write_case(name, seed)
