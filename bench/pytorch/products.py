"""The speed of PyTorch's matrix product: `python3 products.py '[[M, K, N], ...]' THREADS SECONDS`, JSON out: GFLOP/s.

Each is x @ weight.T with a weight [N, K], as a linear layer computes; the best of runs for about SECONDS a shape.
"""

import json
import sys
import time

import torch

shapes, threads, seconds = json.loads(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
torch.set_num_threads(threads)
speeds = []
with torch.no_grad():
    for M, K, N in shapes:
        x, weight = torch.rand(M, K) - 0.5, torch.rand(N, K) - 0.5
        torch.nn.functional.linear(x, weight)
        best, began = float("inf"), time.perf_counter()
        while time.perf_counter() - began < seconds:
            started = time.perf_counter()
            torch.nn.functional.linear(x, weight)
            best = min(best, time.perf_counter() - started)
        speeds.append(2 * M * K * N / best / 1e9)
print(json.dumps({"speeds": speeds, "version": torch.__version__}))
