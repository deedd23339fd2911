"""Scores recorded samples: `python3 score.py MODEL_DIRECTORY < samples.jsonl > scores.jsonl`.

A line in:  {"promptIds": [..], "thought": {"ids": [..]} or {"embeddings": [[..], ..]}, "prefillIds"?: [..],
             "answerIds": [..], "mode": {"name": "hard"|"soft"|"fuzzy", "temperature": t, "noiseScale" or "sigma": s}}
A line out: {"thoughtLogProb": [..], "answerLogProb": [..]}, in natural logarithms, one number a position.

Embedded thoughts score -(1/(2 sigma^2)) ||h~ - h0||^2 with sigma = noiseScale x the per-entry rms of E (as the stack is fed it: Gemma scales it), or sigma as
given (a trained model was trained with the sigma of the model it came from), the constant left out; ids score
log softmax(logits / temperature). Answers score at temperature 1. Computed in float64.
"""

import json
import sys

import torch

from llm import LanguageModel, embedding_rms, read_model_directory, score


def score_lines(directory, lines):
    model = LanguageModel(*read_model_directory(directory))
    rms = embedding_rms(model)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        sample = json.loads(line)
        mode, thought = sample["mode"], sample["thought"]
        if ("ids" in thought) == ("embeddings" in thought):
            raise ValueError(f"line {number}: thought: expected one of ids, embeddings, got {sorted(thought)}")
        if "noiseScale" in mode and "sigma" in mode:
            raise ValueError(f"line {number}: mode: expected noiseScale or sigma, got both")
        sigma = mode["sigma"] if "sigma" in mode else mode.get("noiseScale", 0) * rms
        if "embeddings" in thought and not sigma > 0:
            key = "sigma" if "sigma" in mode else "noiseScale"
            raise ValueError(f"line {number}: mode.{key}: expected > 0 to score embeddings, got {mode.get(key)}")
        with torch.no_grad():
            thought_log_prob, answer_log_prob, _ = score(
                model, sample["promptIds"], thought, sample.get("prefillIds", []), sample["answerIds"],
                mode["temperature"], sigma,
            )  # fmt: skip
        yield {"thoughtLogProb": thought_log_prob.tolist(), "answerLogProb": answer_log_prob.tolist()}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("score.py: expected one argument, a model directory; run `python3 score.py DIR < samples.jsonl`")
    for result in score_lines(sys.argv[1], sys.stdin):
        print(json.dumps(result))
