// Causal attention with grouped heads, forward and backward. AssemblyScript: TypeScript's syntax, WebAssembly's types.
//
//   y[t] = Σ_s p[t,s] v[s],   p[t,·] = softmax over the visible s of scale q[t] · k[s]
//   dv[s] = Σ_t p[t,s] dy[t]
//   dp[t,s] = dy[t] · v[s],   ds[t,s] = p[t,s] (dp[t,s] - Σ_s' p[t,s'] dp[t,s'])
//   dq[t] = scale Σ_s ds[t,s] k[s],   dk[s] = scale Σ_t ds[t,s] q[t]
//
// Query t sees the keys max(padding[b], S - T + t - window + 1) <= s <= S - T + t, window <= S; one that sees none gives
// y = 0 and no gradient.
//
// Buffers are contiguous f32, row-major: q, y, dy, dq (B, T, H, D); k, v, dk, dv (B, S, K, D); padding is (B) i32. None
// overlap. Query head h reads key/value head h K / H rounded down, so the H / K = G query heads of a key head lie side by
// side: for one b and one key head the kernel sees rows i = t G + g of q, and neither their first nor their last visible key
// comes earlier as i grows. Keys before those of all rows at hand are skipped, in whole vectors.
// Rows go in pairs, so that each load of k and v serves two. Reads may run up to three keys past a buffer's end.
//
// A number never depends on B, on other rows, nor on how many keys are hidden to the left: sums over d run in four lanes
// (d mod 4), sums of exponentials in four lanes ((s - padding) mod 4), sums over s and over (t, g) one after the other.
//
// Every pointer, stride and width is in bytes; `width` is that of a row of D, rounded up to whole vectors.
import { clear, combine, exponentials, laneSums, pack, products, scatter, unpack } from './attentionParts';

// The tests call it by itself.
export { exponentials };

/** Rows of q that the backward pass gathers before it adds them to dk and dv. Even. */
const ROWS = 8;

/** Where the module's own data end: what lies above is the caller's. */
export const base: usize = __heap_base;

/** Bytes from one row of scores to the next: whole vectors, and one in between that keeps rows out of step. */
function scoreStride(S: i32): usize {
  return ((<usize>S + 3) & ~3) * 4 + 16;
}

/** Bytes of a row of D in whole vectors. */
function rowWidth(D: i32): usize {
  return ((<usize>D + 3) & ~3) * 4;
}

/** Bytes of a panel of keys or values of one head, with room for the keys that whole vectors take along. */
function panelBytes(S: i32, D: i32): usize {
  return (<usize>S + 4) * rowWidth(D);
}

/** Bytes of scratch that `attention` needs. */
export function attentionScratch(S: i32, D: i32): usize {
  return 2 * panelBytes(S, D) + 4 * rowWidth(D) + 2 * scoreStride(S);
}

/** Where the vector begins in which the window of a row with n keys does. */
function firstKey(n: i32, window: i32): i32 {
  return max(n - window, 0) & ~3;
}

/** Puts `value` in place of those of a row's n numbers that come before its window. */
function hide(row: usize, n: i32, window: i32, value: f32): void {
  for (let j = 0; j < n - window; j++) store<f32>(row + ((<usize>j) << 2), value);
}

/** y from q, k and v. */
export function attention(
  B: i32,
  T: i32,
  S: i32,
  H: i32,
  K: i32,
  D: i32,
  window: i32,
  scale: f32,
  padding: usize,
  q: usize,
  k: usize,
  v: usize,
  y: usize,
  scratch: usize,
): void {
  const G = H / K;
  const rows = T * G;
  const row = (<usize>D) << 2;
  const width = rowWidth(D);
  const pStride = scoreStride(S);
  const panelK = scratch;
  const panelV = panelK + panelBytes(S, D);
  const x = panelV + panelBytes(S, D);
  const out = x + 2 * width;
  const p = out + 2 * width;
  // Enough rows pay for gathering the head's keys and values; few read them where they are.
  const gather = width !== row || rows >= 8;
  for (let b = 0; b < B; b++) {
    const hidden = min(max(load<i32>(padding + ((<usize>b) << 2)), 0), S);
    const visible = S - T + 1 - hidden; // of row 0
    for (let head = 0; head < K; head++) {
      const offset = <usize>((b * S + hidden) * K + head) * row;
      let keys = k + offset;
      let values = v + offset;
      let stride = <usize>K * row;
      if (gather) {
        const first = firstKey(visible, window);
        const skipped = <usize>first * stride;
        pack(keys + skipped, stride, panelK + <usize>first * width, width, D, S - hidden - first, 1);
        pack(values + skipped, stride, panelV + <usize>first * width, width, D, S - hidden - first, 1);
        keys = panelK;
        values = panelV;
        stride = width;
      }
      for (let i = 0; i < rows; i += 2) {
        const second = i + 1 < rows;
        const at0 = <usize>((b * T + i / G) * H + head * G + (i % G)) * row;
        const at1 = second ? <usize>((b * T + (i + 1) / G) * H + head * G + ((i + 1) % G)) * row : at0;
        const n0 = visible + i / G;
        const n1 = second ? visible + (i + 1) / G : 0;
        const n = max(max(n0, n1), 0);
        const first = firstKey(n0, window);
        const p0 = p + ((<usize>first) << 2);
        pack(q + at0, 0, x, width, D, 1, scale);
        pack(q + at1, 0, x + width, width, D, 1, scale);
        products(x, width, keys + <usize>first * stride, stride, n - first, p0, pStride);
        hide(p0, n0 - first, window, -Infinity);
        hide(p0 + pStride, n1 - first, window, -Infinity);
        const sum0 = exponentials(p0, n0 - first, n - first);
        const sum1 = exponentials(p0 + pStride, n1 - first, n - first);
        combine(p0, pStride, values + <usize>first * stride, stride, n - first, out, width);
        unpack(out, width, y + at0, 0, D, 1, n0 > 0 ? <f32>1 / sum0 : 0);
        if (second) unpack(out + width, width, y + at1, 0, D, 1, n1 > 0 ? <f32>1 / sum1 : 0);
      }
    }
  }
}

/** p <- p / Σ, dp <- ds of n keys, given the sum of p. */
function scoreGradient(p: usize, dp: usize, n: i32, sum: f32): void {
  const end = p + ((<usize>n) << 2);
  const inverse = f32x4.splat(sum === 0 ? 0 : <f32>1 / sum);
  let mean = f32x4.splat(0);
  let b = dp;
  for (let a = p; a < end; a += 16) {
    const weight = f32x4.mul(v128.load(a), inverse);
    v128.store(a, weight);
    mean = f32x4.add(mean, f32x4.mul(weight, v128.load(b)));
    b += 16;
  }
  mean = laneSums(mean, mean, mean, mean);
  b = dp;
  for (let a = p; a < end; a += 16) {
    v128.store(b, f32x4.mul(v128.load(a), f32x4.sub(v128.load(b), mean)));
    b += 16;
  }
}

/**
 * Scores p and products dp of one row with n keys -> its weights and ds, 0 for keys that it does not see: `scatter` takes
 * those that any row of the block sees, and keys in pairs.
 */
function rowGradient(p: usize, dp: usize, n: i32, seen: i32, window: i32): void {
  hide(p, n, window, -Infinity);
  hide(dp, n, window, 0);
  scoreGradient(p, dp, seen, exponentials(p, n, seen));
  // NaN among what the row sees has made NaN of all.
  hide(p, n, window, 0);
  hide(dp, n, window, 0);
}

/** Bytes of scratch that `attentionGrad` needs. */
export function attentionGradScratch(S: i32, D: i32): usize {
  return 4 * panelBytes(S, D) + ROWS * (3 * rowWidth(D) + 2 * scoreStride(S));
}

/** dq, dk and dv from dy, q, k and v. */
export function attentionGrad(
  B: i32,
  T: i32,
  S: i32,
  H: i32,
  K: i32,
  D: i32,
  window: i32,
  scale: f32,
  padding: usize,
  dy: usize,
  q: usize,
  k: usize,
  v: usize,
  dq: usize,
  dk: usize,
  dv: usize,
  scratch: usize,
): void {
  const G = H / K;
  const rows = T * G;
  const row = (<usize>D) << 2;
  const width = rowWidth(D);
  const pStride = scoreStride(S);
  const keys = scratch;
  const values = keys + panelBytes(S, D);
  const keysGrad = values + panelBytes(S, D);
  const valuesGrad = keysGrad + panelBytes(S, D);
  const x = valuesGrad + panelBytes(S, D);
  const dx = x + ROWS * width;
  const out = dx + ROWS * width;
  const p = out + ROWS * width;
  const dp = p + ROWS * pStride;
  const stride = <usize>K * row;
  for (let b = 0; b < B; b++) {
    const hidden = min(max(load<i32>(padding + ((<usize>b) << 2)), 0), S);
    const visible = S - T + 1 - hidden; // of row 0
    for (let head = 0; head < K; head++) {
      const all = <usize>(b * S * K + head) * row;
      const offset = all + <usize>hidden * stride;
      // The rest of a panel is zero: 0 times what another sequence left there could be NaN.
      const skipped = firstKey(visible, window);
      const start = offset + <usize>skipped * stride;
      pack(k + start, stride, keys + <usize>skipped * width, width, D, S - hidden - skipped, 1);
      pack(v + start, stride, values + <usize>skipped * width, width, D, S - hidden - skipped, 1);
      clear(keys + <usize>(S - hidden) * width, 3 * width);
      clear(values + <usize>(S - hidden) * width, 3 * width);
      clear(keysGrad, panelBytes(S - hidden, D));
      clear(valuesGrad, panelBytes(S - hidden, D));
      for (let first = 0; first < rows; first += ROWS) {
        const count = min(ROWS, rows - first);
        const most = max(visible + (first + count - 1) / G, 0);
        const from = firstKey(visible + first / G, window);
        const before = <usize>from * width;
        for (let r = 0; r < count; r++) {
          const i = first + r;
          const at = <usize>((b * T + i / G) * H + head * G + (i % G)) * row;
          pack(q + at, 0, x + <usize>r * width, width, D, 1, scale);
          pack(dy + at, 0, dx + <usize>r * width, width, D, 1, 1);
        }
        for (let r = 0; r < count; r += 2) {
          const i = first + r;
          const n0 = visible + i / G;
          const n1 = r + 1 < count ? visible + (i + 1) / G : 0;
          const n = max(max(n0, n1), 0);
          const seen = max(n - from, 0);
          const p0 = p + <usize>r * pStride + ((<usize>from) << 2);
          const dp0 = dp + <usize>r * pStride + ((<usize>from) << 2);
          const at = <usize>r * width;
          products(x + at, width, keys + before, width, seen, p0, pStride);
          products(dx + at, width, values + before, width, seen, dp0, pStride);
          rowGradient(p0, dp0, n0 - from, seen, window);
          rowGradient(p0 + pStride, dp0 + pStride, n1 - from, seen, window);
          combine(dp0, pStride, keys + before, width, seen, out + at, width);
        }
        scatter(dp, pStride, x, width, count, first, visible, G, keysGrad, from, most);
        scatter(p, pStride, dx, width, count, first, visible, G, valuesGrad, from, most);
        for (let r = 0; r < count; r++) {
          const i = first + r;
          const at = <usize>((b * T + i / G) * H + head * G + (i % G)) * row;
          unpack(out + <usize>r * width, width, dq + at, 0, D, 1, scale);
        }
      }
      for (let s = 0; s < hidden; s++) {
        const at = all + <usize>s * stride;
        unpack(keysGrad, 0, dk + at, 0, D, 1, 0);
        unpack(keysGrad, 0, dv + at, 0, D, 1, 0);
      }
      unpack(keysGrad, width, dk + offset, stride, D, S - hidden, 1);
      unpack(valuesGrad, width, dv + offset, stride, D, S - hidden, 1);
    }
  }
}
