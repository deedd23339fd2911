// The pieces of attention.ts: copies of rows, products of pairs of rows with keys, and exponentials. Letters, strides and
// widths as there.

/** Copies n rows of D numbers times `scale`, `from` apart, to rows `width` apart, whose remainder becomes 0. */
export function pack(source: usize, from: usize, target: usize, width: usize, D: i32, n: i32, scale: f32): void {
  const bytes = (<usize>D) << 2;
  const whole = bytes & ~15;
  const factor = f32x4.splat(scale);
  for (let i = 0; i < n; i++) {
    let d: usize = 0;
    for (; d < whole; d += 16) v128.store(target + d, f32x4.mul(v128.load(source + d), factor));
    if (d < width) {
      v128.store(target + d, f32x4.splat(0));
      for (; d < bytes; d += 4) store<f32>(target + d, load<f32>(source + d) * scale);
    }
    source += from;
    target += width;
  }
}

/** The inverse: copies n rows of D numbers times `scale`, `width` apart, to rows `to` apart. */
export function unpack(source: usize, width: usize, target: usize, to: usize, D: i32, n: i32, scale: f32): void {
  const bytes = (<usize>D) << 2;
  const whole = bytes & ~15;
  const factor = f32x4.splat(scale);
  for (let i = 0; i < n; i++) {
    let d: usize = 0;
    for (; d < whole; d += 16) v128.store(target + d, f32x4.mul(v128.load(source + d), factor));
    for (; d < bytes; d += 4) store<f32>(target + d, load<f32>(source + d) * scale);
    source += width;
    target += to;
  }
}

/** Fills with zeros. `bytes` is a multiple of 16. */
export function clear(target: usize, bytes: usize): void {
  const end = target + bytes;
  for (; target < end; target += 16) v128.store(target, f32x4.splat(0));
}

/** out[i,j] = Σ_d x[i,d] panel[j,d] for two rows i and n keys j, n rounded up to whole vectors. */
export function products(
  x: usize,
  width: usize,
  panel: usize,
  stride: usize,
  n: i32,
  out: usize,
  outStride: usize,
): void {
  const zero = f32x4.splat(0);
  const end = out + ((<usize>n) << 2);
  for (; out < end; out += 16) {
    const k0 = panel;
    const k1 = k0 + stride;
    const k2 = k1 + stride;
    const k3 = k2 + stride;
    panel = k3 + stride;
    let a0 = zero;
    let a1 = zero;
    let a2 = zero;
    let a3 = zero;
    let b0 = zero;
    let b1 = zero;
    let b2 = zero;
    let b3 = zero;
    for (let d: usize = 0; d < width; d += 16) {
      const xa = v128.load(x + d);
      const xb = v128.load(x + width + d);
      let k = v128.load(k0 + d);
      a0 = f32x4.add(a0, f32x4.mul(xa, k));
      b0 = f32x4.add(b0, f32x4.mul(xb, k));
      k = v128.load(k1 + d);
      a1 = f32x4.add(a1, f32x4.mul(xa, k));
      b1 = f32x4.add(b1, f32x4.mul(xb, k));
      k = v128.load(k2 + d);
      a2 = f32x4.add(a2, f32x4.mul(xa, k));
      b2 = f32x4.add(b2, f32x4.mul(xb, k));
      k = v128.load(k3 + d);
      a3 = f32x4.add(a3, f32x4.mul(xa, k));
      b3 = f32x4.add(b3, f32x4.mul(xb, k));
    }
    v128.store(out, laneSums(a0, a1, a2, a3));
    v128.store(out + outStride, laneSums(b0, b1, b2, b3));
  }
}

/** (Σ a, Σ b, Σ c, Σ d), each as (x₀ + x₂) + (x₁ + x₃). */
export function laneSums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** out[i,d] = Σ_j p[i,j] panel[j,d] for two rows i, over n keys j. */
export function combine(p: usize, pStride: usize, panel: usize, stride: usize, n: i32, out: usize, width: usize): void {
  const zero = f32x4.splat(0);
  const end = p + ((<usize>n) << 2);
  let d: usize = 0;
  for (; d + 64 <= width; d += 64) {
    let a0 = zero;
    let a1 = zero;
    let a2 = zero;
    let a3 = zero;
    let b0 = zero;
    let b1 = zero;
    let b2 = zero;
    let b3 = zero;
    let row = panel + d;
    for (let j = p; j < end; j += 4) {
      const pa = v128.load32_splat(j);
      const pb = v128.load32_splat(j + pStride);
      let x = v128.load(row);
      a0 = f32x4.add(a0, f32x4.mul(pa, x));
      b0 = f32x4.add(b0, f32x4.mul(pb, x));
      x = v128.load(row, 16);
      a1 = f32x4.add(a1, f32x4.mul(pa, x));
      b1 = f32x4.add(b1, f32x4.mul(pb, x));
      x = v128.load(row, 32);
      a2 = f32x4.add(a2, f32x4.mul(pa, x));
      b2 = f32x4.add(b2, f32x4.mul(pb, x));
      x = v128.load(row, 48);
      a3 = f32x4.add(a3, f32x4.mul(pa, x));
      b3 = f32x4.add(b3, f32x4.mul(pb, x));
      row += stride;
    }
    const target = out + d;
    v128.store(target, a0);
    v128.store(target, a1, 16);
    v128.store(target, a2, 32);
    v128.store(target, a3, 48);
    v128.store(target + width, b0);
    v128.store(target + width, b1, 16);
    v128.store(target + width, b2, 32);
    v128.store(target + width, b3, 48);
  }
  for (; d < width; d += 16) {
    let a = zero;
    let b = zero;
    let row = panel + d;
    for (let j = p; j < end; j += 4) {
      const x = v128.load(row);
      a = f32x4.add(a, f32x4.mul(v128.load32_splat(j), x));
      b = f32x4.add(b, f32x4.mul(v128.load32_splat(j + pStride), x));
      row += stride;
    }
    v128.store(out + d, a);
    v128.store(out + d + width, b);
  }
}

/**
 * panel[j,d] += Σ_i p[i,j] x[i,d] over `rows` rows i, for the keys j from..n: `from` is even, n rounded up to two. Row i is
 * row first + i of the head and sees the keys j < visible + ⌊(first + i) / G⌋; it is left out for the others.
 */
export function scatter(
  p: usize,
  pStride: usize,
  x: usize,
  width: usize,
  rows: i32,
  first: i32,
  visible: i32,
  G: i32,
  panel: usize,
  from: i32,
  n: i32,
): void {
  panel += <usize>from * width;
  for (let j = from; j < n; j += 2) {
    // The rows before the first one that sees key j.
    const skipped = max(0, (j + 1 - visible) * G - first);
    const count = rows - skipped;
    const start = p + <usize>skipped * pStride + ((<usize>j) << 2);
    let d: usize = 0;
    for (; d + 64 <= width; d += 64) {
      const target = panel + d;
      const below = target + width;
      let a0 = v128.load(target);
      let a1 = v128.load(target, 16);
      let a2 = v128.load(target, 32);
      let a3 = v128.load(target, 48);
      let b0 = v128.load(below);
      let b1 = v128.load(below, 16);
      let b2 = v128.load(below, 32);
      let b3 = v128.load(below, 48);
      let weight = start;
      let row = x + <usize>skipped * width + d;
      for (let i = 0; i < count; i++) {
        const pa = v128.load32_splat(weight);
        const pb = v128.load32_splat(weight, 4);
        let y = v128.load(row);
        a0 = f32x4.add(a0, f32x4.mul(pa, y));
        b0 = f32x4.add(b0, f32x4.mul(pb, y));
        y = v128.load(row, 16);
        a1 = f32x4.add(a1, f32x4.mul(pa, y));
        b1 = f32x4.add(b1, f32x4.mul(pb, y));
        y = v128.load(row, 32);
        a2 = f32x4.add(a2, f32x4.mul(pa, y));
        b2 = f32x4.add(b2, f32x4.mul(pb, y));
        y = v128.load(row, 48);
        a3 = f32x4.add(a3, f32x4.mul(pa, y));
        b3 = f32x4.add(b3, f32x4.mul(pb, y));
        weight += pStride;
        row += width;
      }
      v128.store(target, a0);
      v128.store(target, a1, 16);
      v128.store(target, a2, 32);
      v128.store(target, a3, 48);
      v128.store(below, b0);
      v128.store(below, b1, 16);
      v128.store(below, b2, 32);
      v128.store(below, b3, 48);
    }
    for (; d < width; d += 16) {
      const target = panel + d;
      let a = v128.load(target);
      let b = v128.load(target + width);
      let weight = start;
      let row = x + <usize>skipped * width + d;
      for (let i = 0; i < count; i++) {
        const y = v128.load(row);
        a = f32x4.add(a, f32x4.mul(v128.load32_splat(weight), y));
        b = f32x4.add(b, f32x4.mul(v128.load32_splat(weight, 4), y));
        weight += pStride;
        row += width;
      }
      v128.store(target, a);
      v128.store(target + width, b);
    }
    panel += width << 1;
  }
}

/**
 * In place, row[j] <- exp(row[j] - max row) for j < count and 0 for the others of `n`, rounded up to whole vectors; returns
 * the sum.
 *
 *   exp(x) = 2ⁿ exp(r),   n = round(x / ln 2),   r = x - n ln 2,   |r| <= ln 2 / 2
 *
 * ln 2 is taken off in two parts, the first short enough for its product with n to be exact; exp(r) is Cephes' polynomial
 * of degree 7. Within 2 ulp for x >= -87.3; 0 below, where a float32 is subnormal. NaN stays.
 */
export function exponentials(row: usize, count: i32, n: i32): f32 {
  const end = row + ((<usize>n + 3) & ~3) * 4;
  if (count <= 0) {
    clear(row, end - row);
    return 0;
  }
  const whole = row + (<usize>count & ~3) * 4;
  const hidden = f32x4.splat(-Infinity);
  const lanes = i32x4(0, 1, 2, 3);
  // The vector that straddles `count` gets -Infinity in its hidden lanes, whose exponential is 0.
  if (count & 3) {
    const visible = i32x4.lt_s(lanes, i32x4.splat(count & 3));
    v128.store(whole, v128.bitselect(v128.load(whole), hidden, visible));
  }
  const last = row + ((<usize>count + 3) & ~3) * 4;
  let most = hidden;
  for (let at = row; at < last; at += 16) most = f32x4.pmax(most, v128.load(at));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 2, 3, 0, 1));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 1, 0, 3, 2));

  const lowest = f32x4.splat(-87.3);
  const perLn2 = f32x4.splat(<f32>Math.LOG2E);
  // Adding 1.5 · 2²³ rounds to an integer, which then stands in the low bits.
  const rounder = f32x4.splat(12582912);
  const ln2High = f32x4.splat(0.693359375);
  const ln2Low = f32x4.splat(-2.1219444e-4);
  let sum = f32x4.splat(0);
  for (let at = row; at < last; at += 16) {
    const x = f32x4.sub(v128.load(at), most);
    const z = f32x4.pmax(x, lowest); // keeps NaN
    const shifted = f32x4.add(f32x4.mul(z, perLn2), rounder);
    const whole = f32x4.sub(shifted, rounder);
    const r = f32x4.sub(f32x4.sub(z, f32x4.mul(whole, ln2High)), f32x4.mul(whole, ln2Low));
    let poly = f32x4.splat(1.98756915e-4);
    poly = f32x4.add(f32x4.mul(poly, r), f32x4.splat(1.3981999507e-3));
    poly = f32x4.add(f32x4.mul(poly, r), f32x4.splat(8.3334519073e-3));
    poly = f32x4.add(f32x4.mul(poly, r), f32x4.splat(4.1665795894e-2));
    poly = f32x4.add(f32x4.mul(poly, r), f32x4.splat(1.6666665459e-1));
    poly = f32x4.add(f32x4.mul(poly, r), f32x4.splat(5.0000001201e-1));
    poly = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(poly, r), r), r), f32x4.splat(1));
    const e = v128.andnot(i32x4.add(poly, i32x4.shl(shifted, 23)), f32x4.lt(x, lowest));
    v128.store(at, e);
    sum = f32x4.add(sum, e);
  }
  clear(last, end - last);
  return f32x4.extract_lane(laneSums(sum, sum, sum, sum), 0);
}
