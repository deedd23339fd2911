"""Reads the model fixtures back and checks them by other routes; exit code 1 when one disagrees.

1. `score.py`, fed every recorded sample as a JSON line, gives the recorded log-probabilities.
2. Each mode's loss changes along a random direction of all parameters as its stored gradient says, by central
   differences in float64.
3. Where transformers is installed: its own models, loaded from the written directories, give the same hidden
   states, logits, supervised loss and supervised gradients, and the same log-probabilities from recorded embeddings.
   It computes rotary tables, norms and softmaxes in float32 even in a float64 model, hence the tolerance of 1e-5.
"""

import json
import os
import sys

import torch

from llm import LanguageModel, read_model_directory, read_safetensors
from model_fixtures import CASES, FIXTURES, MODES, evaluate
from score import score_lines

failures = 0


def report(what, got, want, tolerance):
    """Prints max |got - want| / max |want|; anything but a small number, NaN included, is a failure."""
    global failures
    got, want = (torch.as_tensor(x, dtype=torch.float64).detach() for x in (got, want))
    assert got.shape == want.shape, f"{what}: expected shape {list(want.shape)}, got {list(got.shape)}"
    difference = ((got - want).abs().max() / want.abs().max()).item()
    good = difference <= tolerance
    failures += not good
    print(f"  {'ok  ' if good else 'FAIL'} {what}: {difference:.1e}")


def samples_of(expected):
    for name, mode in expected["modes"].items():
        for sample in mode["samples"]:
            yield name, mode, sample


def check_score(directory, expected):
    lines = []
    for name, mode, sample in samples_of(expected):
        lines.append(json.dumps(dict(
            promptIds=expected["prompts"][sample["prompt"]]["promptIds"], thought=sample["thought"],
            prefillIds=expected["prefillIds"], answerIds=sample["answerIds"],
            mode=dict(name=name, temperature=mode["temperature"], noiseScale=mode["noiseScale"]),
        )))  # fmt: skip
    got, want = [], []
    for result, (_, _, sample) in zip(score_lines(directory, lines), samples_of(expected)):
        got += result["thoughtLogProb"] + result["answerLogProb"]
        want += sample["thoughtLogProb"] + sample["answerLogProb"]
    report("score.py", got, want, 1e-7)  # the document holds 9 digits


def check_differences(directory, expected):
    config, parameters = read_model_directory(directory)
    drawn = dict(
        sequence=expected["sequence"]["ids"], supervised=expected["supervised"]["sequences"], rms=expected["rms"],
        prefill=expected["prefillIds"], prompts=[prompt["promptIds"] for prompt in expected["prompts"]],
        modes={name: expected["modes"][name]["samples"] for name in MODES},
    )  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    direction = {
        name: torch.randn(tensor.shape, generator=generator, dtype=torch.float64) for name, tensor in parameters.items()
    }
    step = 1e-7
    sides = []
    for sign in (1, -1):
        moved = {name: tensor + sign * step * direction[name] for name, tensor in parameters.items()}
        sides.append(evaluate(config, moved, drawn, torch.float64)[0])
    for name in MODES:
        gradients = read_safetensors(os.path.join(directory, f"gradients-{name}.safetensors"))
        slope = (sides[0]["modes"][name]["loss"] - sides[1]["modes"][name]["loss"]) / (2 * step)
        inner = sum((gradients[key].double() * direction[key]).sum() for key in direction)
        report(f"{name} gradient by central differences", [slope], [inner.item()], 1e-4)


def check_transformers(directory, expected, auto):
    model = auto.from_pretrained(directory, torch_dtype=torch.float64, attn_implementation="eager").eval()
    sequence = expected["sequence"]
    output = model(torch.tensor([sequence["ids"]]), output_hidden_states=True)
    report("transformers hidden", output.hidden_states[-1][0], sequence["hidden"], 1e-5)
    report("transformers logits", output.logits[0], sequence["logits"], 1e-5)

    scored = []
    for item in expected["supervised"]["sequences"]:
        log_probs = torch.log_softmax(model(torch.tensor([item["ids"]])).logits[0], -1)
        scored += [log_probs[t, item["ids"][t + 1]] for t in item["positions"]]
    loss = -torch.stack(scored).mean()
    report("transformers supervised loss", [loss.item()], [expected["supervised"]["loss"]], 1e-5)
    loss.backward()
    gradients = read_safetensors(os.path.join(directory, "gradients-supervised.safetensors"))
    named = dict(model.named_parameters())
    assert set(named) == set(gradients), f"parameters: expected {sorted(gradients)}, got {sorted(named)}"
    worst = max(named, key=lambda key: ((named[key].grad - gradients[key]).abs().max() / gradients[key].abs().max()).item())
    report(f"transformers supervised gradients, worst {worst}", named[worst].grad, gradients[worst], 1e-5)

    embed, got, want = model.get_input_embeddings(), [], []
    scale = float(getattr(embed, "embed_scale", 1.0))  # Gemma's embedding multiplies its rows
    for name, mode, sample in samples_of(expected):
        prompt = expected["prompts"][sample["prompt"]]["promptIds"]
        P, thought = len(prompt), sample["thought"]
        if name == "hard":
            recorded = embed(torch.tensor(thought["ids"]))
        else:
            recorded = torch.tensor(thought["embeddings"], dtype=torch.float64)
        after = embed(torch.tensor(expected["prefillIds"] + sample["answerIds"]))
        logits = model(inputs_embeds=torch.cat([embed(torch.tensor(prompt)), recorded, after])[None]).logits[0]
        for t in range(len(recorded)):
            if name == "hard":
                got.append(torch.log_softmax(logits[P - 1 + t], -1)[thought["ids"][t]].item())
            else:
                mixture = torch.softmax(logits[P - 1 + t] / mode["temperature"], -1) @ embed.weight * scale
                got.append((-((recorded[t] - mixture) ** 2).sum() / (2 * mode["sigma"] ** 2)).item())
        first = P + len(recorded) + len(expected["prefillIds"])
        for j, token in enumerate(sample["answerIds"]):
            got.append(torch.log_softmax(logits[first + j - 1], -1)[token].item())
        want += sample["thoughtLogProb"] + sample["answerLogProb"]
    report("transformers log-probabilities, all modes", got, want, 1e-5)


if __name__ == "__main__":
    try:
        import transformers
    except ImportError:
        transformers = None
        print("transformers is not installed: its comparison is left out")
    for case in CASES:
        directory = os.path.join(FIXTURES, case)
        with open(os.path.join(directory, "expected.json")) as source:
            expected = json.load(source)
        print(case)
        check_score(directory, expected)
        check_differences(directory, expected)
        if transformers:
            check_transformers(directory, expected, transformers.AutoModelForCausalLM)
    sys.exit(1 if failures else 0)
