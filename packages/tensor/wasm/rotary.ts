// Rotary position embedding, halves convention; AssemblyScript.
//
//   y = (x₁ cos φ - x₂ sin φ, x₂ cos φ + x₁ sin φ)      x = (x₁, x₂), the two halves of a head
//
// x and y are (positions, heads, 2 half) and cos and sin (positions, half), f32, row-major, contiguous; x is not y. The
// backward pass is the rotation by the opposite angle: `sign` = -1. `half` need not fill whole vectors: what is left over
// is computed one by one, with the same operations.
// Every pointer is in bytes.

/** Rotates the heads of every position by `sign` times its angles. */
export function rotary(
  positions: i32,
  heads: i32,
  half: i32,
  sign: f32,
  x: usize,
  cos: usize,
  sin: usize,
  y: usize,
): void {
  const bytes = (<usize>half) << 2;
  const whole = bytes & ~15;
  const signs = f32x4.splat(sign);
  for (let position = 0; position < positions; position++) {
    for (let head = 0; head < heads; head++) {
      const x2 = x + bytes;
      const y2 = y + bytes;
      let i: usize = 0;
      for (; i < whole; i += 16) {
        const a = v128.load(x + i);
        const b = v128.load(x2 + i);
        const c = v128.load(cos + i);
        const s = f32x4.mul(v128.load(sin + i), signs);
        v128.store(y + i, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
        v128.store(y2 + i, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
      }
      for (; i < bytes; i += 4) {
        const a = load<f32>(x + i);
        const b = load<f32>(x2 + i);
        const c = load<f32>(cos + i);
        const s = load<f32>(sin + i) * sign;
        store<f32>(y + i, a * c - b * s);
        store<f32>(y2 + i, b * c + a * s);
      }
      x += bytes << 1;
      y += bytes << 1;
    }
    cos += bytes;
    sin += bytes;
  }
}
