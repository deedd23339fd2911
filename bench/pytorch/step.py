"""Training steps in PyTorch, the same work as `soft-tokens bench`: `python3 step.py JOB.json`, a line of JSON out.

A plain trainer as one writes it with PyTorch 1.13: prompts repeated for each sample, keys and values in buffers of full
length written in place, one forward and one backward over all sequences of the step, logits only where a token is
scored, clipping by `clip_grad_norm_`, AdamW with `foreach`. Everything in float32.

JOB.json: {"model": directory, "mode": "hard"|"soft"|"fuzzy", "temperature", "sigma", "prompts": [[ids]], "samples",
"thoughtTokens", "answerTokens", "advantages", "steps", "threads", "sequences"?: [...]}. With `sequences`, those that another trainer
drew, their loss and the norm of its gradient are computed first, so that both are known to do the same work.
"""

import json
import math
import os
import resource
import sys
import time

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../reference"))
from llm import read_model_directory, rms_norm, rotary, rotary_table, swiglu  # noqa: E402


class Trainer:
    def __init__(self, job):
        self.job = job
        self.config, parameters = read_model_directory(job["model"], torch.float32)
        self.parameters = {name: tensor.requires_grad_() for name, tensor in parameters.items()}
        self.embedding = self.parameters["model.embed_tokens.weight"]  # tied: E is the output matrix too
        self.heads, self.kv = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        self.head_dim = self.config["hidden_size"] // self.heads
        self.optimizer = torch.optim.AdamW(self.parameters.values(), lr=1e-6, weight_decay=0.0, foreach=True)

    def forward(self, x, cache=None, position=0):
        """`[B, T, d]` -> `[B, T, d]`. With a cache of buffers `[B, K, S, D]` the inputs follow its first `position`."""
        B, T, _ = x.shape
        H, K, D, eps = self.heads, self.kv, self.head_dim, self.config["rms_norm_eps"]
        positions = torch.arange(position, position + T)
        cos, sin = rotary_table(D, self.config.get("rope_theta", 10000.0), None, positions, x.dtype)
        mask = torch.full((T, position + T), float("-inf")).triu(position + 1) if T > 1 else None
        weight = self.parameters
        for index in range(self.config["num_hidden_layers"]):
            layer = f"model.layers.{index}"
            linear = lambda y, name: torch.nn.functional.linear(y, weight[f"{layer}.{name}.weight"])  # noqa: E731
            y = rms_norm(x, weight[f"{layer}.input_layernorm.weight"], eps)
            q = rotary(linear(y, "self_attn.q_proj").view(B, T, H, D), cos, sin).transpose(1, 2)
            k = rotary(linear(y, "self_attn.k_proj").view(B, T, K, D), cos, sin).transpose(1, 2)
            v = linear(y, "self_attn.v_proj").view(B, T, K, D).transpose(1, 2)
            if cache is not None:
                keys, values = cache[index]
                keys[:, :, position : position + T], values[:, :, position : position + T] = k, v
                k, v = keys[:, :, : position + T], values[:, :, : position + T]
            q = q.reshape(B, K, H // K * T, D)  # the heads of a group read the same keys
            scores = q @ k.transpose(-1, -2) / math.sqrt(D)
            if mask is not None:
                scores = (scores.view(B, H, T, -1) + mask).view(B, K, H // K * T, -1)
            y = (torch.softmax(scores, -1) @ v).view(B, H, T, D).transpose(1, 2).reshape(B, T, H * D)
            x = x + linear(y, "self_attn.o_proj")
            y = rms_norm(x, weight[f"{layer}.post_attention_layernorm.weight"], eps)
            x = x + linear(swiglu(linear(y, "mlp.gate_proj"), linear(y, "mlp.up_proj")), "mlp.down_proj")
        return rms_norm(x, weight["model.norm.weight"], eps)

    @torch.no_grad()
    def rollout(self, generator):
        """Thoughts (ids `[N, T]` or inputs `[N, T, d]`) and answer ids `[N, A]`, all of full length."""
        job = self.job
        T, A, tau = job["thoughtTokens"], job["answerTokens"], job["temperature"]
        prompts = torch.tensor(job["prompts"]).repeat_interleave(job["samples"], 0)
        N, P = prompts.shape
        shape = (N, self.kv, P + T + A, self.head_dim)
        cache = [(torch.empty(shape), torch.empty(shape)) for _ in range(self.config["num_hidden_layers"])]
        hidden = self.forward(self.embedding[prompts], cache)[:, -1]
        thoughts, answers = [], []
        for position in range(P, P + T + A):
            logits = hidden @ self.embedding.T
            if position < P + T and job["mode"] != "hard":
                mixture = torch.softmax(logits / tau, -1) @ self.embedding
                x = mixture + job["sigma"] * torch.randn(mixture.shape, generator=generator)
                thoughts.append(x)
            else:
                temperature = tau if position < P + T else 1.0
                ids = torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator)[:, 0]
                x = self.embedding[ids]
                (thoughts if position < P + T else answers).append(ids)
            if position < P + T + A - 1:
                hidden = self.forward(x[:, None], cache, position)[:, 0]
        return prompts, torch.stack(thoughts, 1), torch.stack(answers, 1)

    def loss(self, prompts, thoughts, answers):
        """-(1/N) sum of advantage times the log-probability of each sequence."""
        job = self.job
        (N, P), T, A = prompts.shape, thoughts.shape[1], answers.shape[1]
        inputs = self.embedding[thoughts] if job["mode"] == "hard" else thoughts
        x = torch.cat([self.embedding[prompts], inputs, self.embedding[answers[:, :-1]]], 1)
        hidden = self.forward(x)[:, P - 1 :]
        log_prob = self.log_prob(hidden[:, T:], answers, 1.0)
        if job["mode"] == "hard":
            log_prob = log_prob + self.log_prob(hidden[:, :T], thoughts, job["temperature"])
        else:
            weights = torch.softmax(hidden[:, :T] @ self.embedding.T / job["temperature"], -1)
            squared = ((thoughts - weights @ self.embedding) ** 2).sum(-1)
            log_prob = log_prob - squared.sum(-1) / (2 * job["sigma"] ** 2)
        advantages = torch.tensor(job["advantages"], dtype=torch.float32)
        return -(advantages * log_prob).sum() / N

    def log_prob(self, hidden, ids, temperature):
        logits = hidden @ self.embedding.T / temperature
        return torch.log_softmax(logits, -1).gather(-1, ids[..., None])[..., 0].sum(-1)

    def update(self, sequences):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(*sequences).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimizer.step()
        return norm.item()

    def check(self):
        """Loss and gradient norm of the sequences of the job."""
        sequences = self.job["sequences"]
        prompts = torch.tensor(self.job["prompts"]).repeat_interleave(self.job["samples"], 0)
        thoughts = torch.tensor([sequence["thought"] for sequence in sequences])
        answers = torch.tensor([sequence["answerIds"] for sequence in sequences])
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(prompts, thoughts, answers)
        loss.backward()
        squares = sum((p.grad.double() ** 2).sum().item() for p in self.parameters.values())
        self.optimizer.zero_grad(set_to_none=True)
        return {"loss": loss.item(), "norm": math.sqrt(squares)}


def main():
    with open(sys.argv[1]) as source:
        job = json.load(source)
    torch.set_num_threads(job["threads"])
    trainer = Trainer(job)
    result = {"check": trainer.check() if "sequences" in job else None, "rollout_s": [], "update_s": []}
    generator = torch.Generator().manual_seed(1)
    for step in range(job["steps"] + 1 if job["steps"] > 0 else 0):  # the first warms up
        started = time.perf_counter()
        sequences = trainer.rollout(generator)
        drawn = time.perf_counter()
        trainer.update(sequences)
        ended = time.perf_counter()
        if step > 0:
            result["rollout_s"].append(drawn - started)
            result["update_s"].append(ended - drawn)
    result["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result["version"], result["threads"] = torch.__version__, torch.get_num_threads()
    print(json.dumps(result))


main()
