"""Writes `packages/tensor/src/ops/__fixtures__/ops.json`: single operations, their outputs and gradients.

Run: `python3 reference/op_fixtures.py`. Inputs are exact in float32; outputs and gradients are computed in float64 (by
autograd) and written with 9 significant digits. A tensor is {shape, values}, values flat in row-major order; ids,
positions and padding are whole numbers. Every case of an operation has a `name`.

  rmsNorm[]       eps; inputs x [..., d], weight [d]; output, upstream [..., d]; gradients x, weight
  rotary[]        headDim, theta, scaling (null, or the `rope_scaling` of a config.json); positions [B, T];
                  cos, sin [B, T, 1, D/2]; inputs x [B, T, H, D]; output, upstream; gradients x
  attention[]     padding (null or [B]); some with window, scale; inputs q [B, T, H, D], k, v [B, S, K, D]; output, upstream [B, T, H, D];
                  gradients q, k, v. Where a query is padding itself (t + S - T < padding[b]) it sees no key: output and
                  upstream are 0 there and no gradient flows, whatever an engine puts in its output
  swiglu[], geglu[]  inputs gate, up; output, upstream; gradients gate, up
  headLogProb[]   temperature; ids [N]; inputs hidden [N, d], weight [V, d]; output, upstream [N]; gradients hidden, weight
  headMixture[]   temperature; inputs hidden [N, d], weight [V, d], embedding [V, d]; output, upstream [N, d]; gradients
                  hidden, weight, embedding. A tied case has no `embedding` (it is `weight`), and the gradient of weight
                  is the sum of both paths
  adamW[]         learningRates [5], beta1, beta2, eps, weightDecay; initial: parameter [..]; steps[5]: gradient, and
                  parameter, m, v after the step; torch.optim.AdamW, decay decoupled: p <- p - lr wd p before the update
  clipByGlobalNorm[]  maxNorm; inputs {name: tensor}; norm (over all tensors together); output {name: tensor} =
                  g min(1, maxNorm / norm). torch divides by norm + 1e-6 instead, and differs by that much
"""

import json
import os

import torch

import llm
from model_fixtures import rounded

FILE = os.path.join(os.path.dirname(__file__), "..", "packages", "tensor", "src", "ops", "__fixtures__", "ops.json")
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=3.0, original_max_position_embeddings=24)
generator = torch.Generator().manual_seed(20250924)
worst = {}


def normal(*shape, std=1.0, mean=0.0):
    return (mean + std * torch.randn(*shape, generator=generator, dtype=torch.float64)).float().double()


def stored(tensor):
    return dict(shape=list(tensor.shape), values=tensor.detach().flatten().tolist())


def differentiated(operation, name, function, inputs, upstream=None, **attributes):
    """One case: function(**inputs), and d <upstream, output> / d input for every input; float32's distance is noted."""
    results = []
    for dtype in (torch.float64, torch.float32):
        leaves = {key: tensor.to(dtype).requires_grad_(True) for key, tensor in inputs.items()}
        output = function(**leaves)
        if upstream is None:
            upstream = normal(*output.shape)
        gradients = torch.autograd.grad(output, list(leaves.values()), upstream.to(dtype))
        results.append(dict(output=output, **dict(zip(leaves, gradients))))
    for key, exact in results[0].items():
        scale = exact.abs().max().clamp_min(1e-30)
        difference = ((results[1][key].double() - exact).abs().max() / scale).item()
        if not difference <= worst.get(operation, (0.0, ""))[0]:
            worst[operation] = (difference, f"{name}, {key}")
    exact = results[0]
    return dict(
        name=name, **attributes, inputs={key: stored(value) for key, value in inputs.items()},
        output=stored(exact["output"]), upstream=stored(upstream),
        gradients={key: stored(exact[key]) for key in inputs},
    )  # fmt: skip


def rms_norm_cases():
    for name, scale, eps in (("ordinary", 1.0, 1e-5), ("small input, eps matters", 2e-3, 1e-5), ("large input", 300.0, 1e-6)):
        inputs = dict(x=normal(2, 3, 8, std=scale), weight=normal(8, std=0.2, mean=1.0))
        yield differentiated("rmsNorm", name, lambda x, weight: llm.rms_norm(x, weight, eps), inputs, eps=eps)


def rotary_cases():
    padded = torch.tensor([[0, 1, 2, 3], [0, 0, 0, 1]])
    far = torch.tensor([[17, 18, 19, 20], [96, 97, 98, 99]])
    for name, positions, theta, scaling in (
        ("plain", padded, 10000.0, None), ("plain, far", far, 500000.0, None),
        ("llama3", padded, 100.0, LLAMA3), ("llama3, far", far, 100.0, LLAMA3),
    ):  # fmt: skip
        cos, sin = llm.rotary_table(8, theta, scaling, positions, torch.float64)

        def function(x):
            return llm.rotary(x, cos.to(x.dtype), sin.to(x.dtype))

        table = dict(positions=dict(shape=[2, 4], values=positions.flatten().tolist()), cos=stored(cos), sin=stored(sin))
        yield differentiated(
            "rotary", name, function, dict(x=normal(2, 4, 3, 8)), headDim=8, theta=theta, scaling=scaling, **table
        )


def attention_case(name, B, T, S, H, K, D, padding, **options):
    hidden_keys = None if padding is None else torch.tensor(padding)
    inputs = dict(q=normal(B, T, H, D, std=1.5), k=normal(B, S, K, D, std=1.5), v=normal(B, S, K, D))
    upstream = normal(B, T, H, D)
    if padding is not None:
        meaningless = torch.arange(T)[None, :] + (S - T) < hidden_keys[:, None]
        upstream = upstream * ~meaningless[:, :, None, None]

    def function(q, k, v):
        return llm.attention(q, k, v, hidden_keys, **options)

    return differentiated("attention", name, function, inputs, upstream, padding=padding, **options)


def attention_cases():
    yield attention_case("one head each", 1, 4, 4, 2, 2, 4, None)
    yield attention_case("grouped heads", 2, 5, 5, 4, 2, 4, None)
    yield attention_case("one key head", 1, 3, 3, 3, 1, 4, None)
    yield attention_case("offset", 2, 2, 6, 4, 2, 4, None)
    yield attention_case("offset and padding", 2, 2, 6, 4, 2, 4, [0, 3])
    yield attention_case("padding, queries too", 2, 5, 5, 4, 2, 4, [0, 2])
    yield attention_case("one query", 3, 1, 7, 4, 2, 4, [0, 6, 2])


def windowed_attention_cases():
    yield attention_case("window", 2, 6, 6, 4, 2, 4, None, window=3)
    yield attention_case("window, offset and padding", 2, 4, 9, 2, 1, 4, [0, 6], window=4)
    yield attention_case("scale", 1, 4, 5, 2, 2, 4, None, scale=0.2)
    yield attention_case("window and scale, one query", 2, 1, 7, 4, 2, 4, [0, 5], window=3, scale=0.9)


def swiglu_cases():
    yield differentiated("swiglu", "ordinary", llm.swiglu, dict(gate=normal(3, 7, std=2.0), up=normal(3, 7)))
    gate = torch.tensor([-100.0, -30.0, -0.0009765625, 0.0, 30.0, 100.0], dtype=torch.float64)
    yield differentiated("swiglu", "extreme", llm.swiglu, dict(gate=gate, up=normal(6)))


def geglu_cases():
    yield differentiated("geglu", "ordinary", llm.geglu, dict(gate=normal(3, 7, std=2.0), up=normal(3, 7)))
    gate = torch.tensor([-100.0, -6.0, -0.0009765625, 0.0, 6.0, 100.0], dtype=torch.float64)
    yield differentiated("geglu", "extreme", llm.geglu, dict(gate=gate, up=normal(6)))


def head_log_prob_cases():
    ids = torch.tensor([0, 3, 10, 3, 7])
    for name, temperature, scale in (
        ("temperature 1", 1.0, 1.0), ("temperature 0.5", 0.5, 1.0), ("logits in the hundreds", 1.0, 60.0),
    ):  # fmt: skip

        def function(hidden, weight):
            return torch.log_softmax(hidden @ weight.T / temperature, -1).gather(1, ids[:, None])[:, 0]

        inputs = dict(hidden=normal(5, 8, std=scale), weight=normal(11, 8, std=0.6))
        stored_ids = dict(shape=[5], values=ids.tolist())
        yield differentiated("headLogProb", name, function, inputs, temperature=temperature, ids=stored_ids)


def head_mixture_cases():
    for temperature in (1.0, 0.5, 0.1):

        def untied(hidden, weight, embedding):
            return torch.softmax(hidden @ weight.T / temperature, -1) @ embedding

        inputs = dict(hidden=normal(5, 8), weight=normal(11, 8, std=0.5), embedding=normal(11, 8, std=0.5))
        name = f"untied, temperature {temperature:g}"
        yield differentiated("headMixture", name, untied, inputs, temperature=temperature)
    for temperature in (0.5, 0.1):

        def tied(hidden, weight):
            return torch.softmax(hidden @ weight.T / temperature, -1) @ weight

        inputs = dict(hidden=normal(5, 8), weight=normal(11, 8, std=0.5))
        yield differentiated("headMixture", f"tied, temperature {temperature:g}", tied, inputs, temperature=temperature)

    # At fuzzy's temperature float32 and float64 agree only where the logits are exact in both. Dyadic numbers with few
    # bits are: row 0 a tie, row 1 a gap of 2^-13 (1.2 temperatures), row 2 of 2^-11 (4.9), row 3 of 2^-12 and a third id.
    def fuzzy(hidden, weight, embedding):
        return torch.softmax(hidden @ weight.T / 1e-4, -1) @ embedding

    weight = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]], dtype=torch.float64)
    hidden = torch.tensor(
        [[1, 1, 0], [1 + 2**-13, 1, 0.5], [0.25, 0.5, 0.5 + 2**-11], [2 - 2**-12, 2, 2 - 2**-13]], dtype=torch.float64
    )
    inputs = dict(hidden=hidden, weight=weight, embedding=normal(4, 3))
    yield differentiated("headMixture", "temperature 1e-4, near-ties exact in float32", fuzzy, inputs, temperature=1e-4)


def adam_w_cases():
    for name, settings, learning_rates in (
        ("torch's defaults", dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01), [1e-3] * 5),
        ("strong decay, changing rate", dict(betas=(0.9, 0.95), eps=1e-6, weight_decay=0.3), [0.0, 0.01, 0.03, 0.02, 0.01]),
        ("no decay, tiny gradients", dict(betas=(0.8, 0.99), eps=1e-5, weight_decay=0.0), [0.01] * 5),
    ):
        parameter = normal(3, 4).requires_grad_(True)
        initial = stored(parameter)
        optimizer, steps = torch.optim.AdamW([parameter], lr=1.0, **settings), []
        for learning_rate in learning_rates:
            parameter.grad = normal(3, 4, std=1e-5 if "tiny" in name else 1.0)
            optimizer.param_groups[0]["lr"] = learning_rate
            optimizer.step()
            state = optimizer.state[parameter]
            steps.append(dict(
                gradient=stored(parameter.grad), parameter=stored(parameter),
                m=stored(state["exp_avg"]), v=stored(state["exp_avg_sq"]),
            ))  # fmt: skip
        yield dict(
            name=name, learningRates=learning_rates, beta1=settings["betas"][0], beta2=settings["betas"][1],
            eps=settings["eps"], weightDecay=settings["weight_decay"], initial=dict(parameter=initial), steps=steps,
        )  # fmt: skip


def clip_cases():
    for name, max_norm, scale in (("clipped", 1.0, 3.0), ("left alone", 100.0, 1.0), ("all zero", 1.0, 0.0)):
        gradients = dict(weight=normal(3, 4, std=scale), bias=normal(5, std=scale))
        norm = torch.cat([gradient.flatten() for gradient in gradients.values()]).norm()
        factor = min(1.0, max_norm / norm.item()) if norm > 0 else 1.0
        clipped = {key: gradient * factor for key, gradient in gradients.items()}
        leaves = [gradient.clone().requires_grad_(True) for gradient in gradients.values()]
        for leaf, gradient in zip(leaves, gradients.values()):
            leaf.grad = gradient.clone()
        torch_norm = torch.nn.utils.clip_grad_norm_(leaves, max_norm)
        assert torch.allclose(torch_norm, norm)
        assert all(torch.allclose(leaf.grad, gradient, rtol=2e-6) for leaf, gradient in zip(leaves, clipped.values()))
        yield dict(
            name=name, maxNorm=max_norm, inputs={key: stored(value) for key, value in gradients.items()},
            norm=norm.item(), output={key: stored(value) for key, value in clipped.items()},
        )  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    document = dict(
        rmsNorm=list(rms_norm_cases()), rotary=list(rotary_cases()), attention=list(attention_cases()),
        swiglu=list(swiglu_cases()), headLogProb=list(head_log_prob_cases()), headMixture=list(head_mixture_cases()),
        adamW=list(adam_w_cases()), clipByGlobalNorm=list(clip_cases()), geglu=list(geglu_cases()),
    )  # fmt: skip
    # Drawn last: the random numbers of the others stay what they were.
    document["attention"] += windowed_attention_cases()
    os.makedirs(os.path.dirname(FILE), exist_ok=True)
    with open(FILE, "w") as out:
        json.dump(rounded(document), out, separators=(",", ":"))
        out.write("\n")
    print(f"ops.json: {os.path.getsize(FILE) / 1000:.0f} kB, {sum(map(len, document.values()))} cases")
    for operation, (difference, where) in worst.items():
        print(f"  {operation}: float32 against float64, worst max |a - b| / max |b| {difference:.1e} ({where})")
