"""Opens a model directory that we wrote with transformers and compares its logits with ours; exit code 1 when they differ.

    node packages/models/scripts/logits.mjs MODEL_DIRECTORY LOGITS.json native
    python3 reference/check_export.py MODEL_DIRECTORY LOGITS.json

Every tensor must be found and used, whatever the shards. Both compute in float32 from the stored weights, so what is
left is rounding: 1e-4 of the largest logit is refused. The ids of the text are compared with those of transformers'
tokenizer, where the directory has one. Needs torch, transformers and safetensors; written with transformers 5.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-4


def main(directory, file):
    with open(file, encoding="utf-8") as source:
        ours = json.load(source)
    good = True

    def report(what, holds, detail=""):
        nonlocal good
        good = good and holds
        print(f"{'ok  ' if holds else 'FAIL'} {what}{': ' if detail else ''}{detail}")

    model, info = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, output_loading_info=True)
    wrong = {kind: sorted(names) for kind, names in info.items() if names and "keys" in kind}
    report("every tensor is found and used", not wrong, json.dumps(wrong) if wrong else "")

    with torch.no_grad():
        theirs = model.eval()(torch.tensor([ours["ids"]])).logits[0].double()
    logits = torch.tensor(ours["logits"], dtype=torch.float64)
    report("shape of the logits", logits.shape == theirs.shape, f"{list(logits.shape)} and {list(theirs.shape)}")
    difference = (logits - theirs).abs().max().item()
    largest = theirs.abs().max().item()
    report("logits", difference <= TOLERANCE * largest, f"largest difference {difference:.1e} of at most {largest:.1f}")
    report("greedy tokens", torch.equal(logits.argmax(-1), theirs.argmax(-1)), f"{len(ours['ids'])} positions")

    if "text" in ours:
        ids = AutoTokenizer.from_pretrained(directory)(ours["text"])["input_ids"]
        report("ids of the text", ids == ours["ids"], f"{len(ids)} ids")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
