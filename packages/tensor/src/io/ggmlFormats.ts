// The number formats of GGML, in which GGUF files hold tensors: https://github.com/ggml-org/ggml, src/ggml-common.h.
//
// A quantised row is cut into blocks of 32 or 256 values, each stored as small integers q and the scales they share.
// d and m are F16; s and t are the scale and minimum of a sub-block, integers themselves:
//
//   Q4_0   32 values in  18 bytes   d (q - 8)       d | 16 bytes of 2 nibbles
//   Q4_1   32 values in  20 bytes   d q + m         d, m | 16 bytes of 2 nibbles
//   Q5_0   32 values in  22 bytes   d (q - 16)      d | 32 fifth bits | 16 bytes of 2 nibbles
//   Q5_1   32 values in  24 bytes   d q + m         d, m | 32 fifth bits | 16 bytes of 2 nibbles
//   Q8_0   32 values in  34 bytes   d q             d | 32 signed bytes
//   Q4_K  256 values in 144 bytes   d s q - m t     d, m | 8 times s, t of 6 bits | 128 bytes of 2 nibbles
//   Q5_K  256 values in 176 bytes   d s q - m t     d, m | 8 times s, t of 6 bits | 256 fifth bits | 128 bytes of nibbles
//   Q6_K  256 values in 210 bytes   d s (q - 32)    128 bytes of nibbles | 64 of 2 upper bits | 16 signed s | d
//
// Decoding is exact to the last bit: in every formula the products have at most 24 significant bits, and the sum, a
// multiple of 2^-24 below 2^28, fits a double. So the one rounding is that to float32, when a value is stored.
import { narrowF16, widenBF16, widenF16 } from './halfFloat.js';

/** A format this package reads. */
export type GgmlType = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q4_K' | 'Q5_K' | 'Q6_K';

interface GgmlFormat {
  /** Its number in a file, of `enum ggml_type`. */
  readonly code: number;
  /** Values in a block; a row is a whole number of blocks. */
  readonly block: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** Whole blocks, at an even offset of their buffer, as float32 values. */
  readonly decode: (bytes: Uint8Array, values: Float32Array) => void;
}

/** Every format of `GgmlType`: how it is stored and how it is read. */
export const ggmlFormats: Readonly<Record<GgmlType, GgmlFormat>> = {
  F32: { code: 0, block: 1, bytes: 4, decode: (bytes, values) => bytesOf(values).set(bytes) },
  F16: { code: 1, block: 1, bytes: 2, decode: (bytes, values) => values.set(widenF16(halvesOf(bytes))) },
  Q4_0: { code: 2, block: 32, bytes: 18, decode: decodeQ4_0 },
  Q4_1: { code: 3, block: 32, bytes: 20, decode: decodeQ4_1 },
  Q5_0: { code: 6, block: 32, bytes: 22, decode: decodeQ5_0 },
  Q5_1: { code: 7, block: 32, bytes: 24, decode: decodeQ5_1 },
  Q8_0: { code: 8, block: 32, bytes: 34, decode: decodeQ8_0 },
  Q4_K: { code: 12, block: 256, bytes: 144, decode: decodeQ4_K },
  Q5_K: { code: 13, block: 256, bytes: 176, decode: decodeQ5_K },
  Q6_K: { code: 14, block: 256, bytes: 210, decode: decodeQ6_K },
  BF16: { code: 30, block: 1, bytes: 2, decode: (bytes, values) => values.set(widenBF16(halvesOf(bytes))) },
};

// biome-ignore format: what `enum ggml_type` names besides, in its order
const otherTypes: Readonly<Record<number, string>> = {
  9: 'Q8_1', 10: 'Q2_K', 11: 'Q3_K', 15: 'Q8_K', 16: 'IQ2_XXS', 17: 'IQ2_XS', 18: 'IQ3_XXS', 19: 'IQ1_S', 20: 'IQ4_NL',
  21: 'IQ3_S', 22: 'IQ2_S', 23: 'IQ4_XS', 24: 'I8', 25: 'I16', 26: 'I32', 27: 'I64', 28: 'F64', 29: 'IQ1_M',
  34: 'TQ1_0', 35: 'TQ2_0', 39: 'MXFP4',
};

const typeOf = new Map(Object.entries(ggmlFormats).map(([type, { code }]) => [code, type as GgmlType]));

/** The type with a number in a file, or undefined where this package has none. */
export const ggmlType = (code: number): GgmlType | undefined => typeOf.get(code);

/** What to call a type by its number, be it one of ours or not. */
export const ggmlTypeName = (code: number): string => typeOf.get(code) ?? otherTypes[code] ?? `number ${code}`;

const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
const halvesOf = (bytes: Uint8Array) => new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);

let halves: Float32Array | undefined;

/** Every F16 as float32, at the index of its bits. */
function halfTable(): Float32Array {
  halves ??= widenF16(Uint16Array.from({ length: 65536 }, (_, i) => i));
  return halves;
}

function decodeQ4_0(bytes: Uint8Array, values: Float32Array): void {
  const half = halfTable();
  for (let at = 0, to = 0; at < bytes.length; at += 18, to += 32) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i]!;
      values[to + i] = d * ((pair & 15) - 8);
      values[to + 16 + i] = d * ((pair >> 4) - 8);
    }
  }
}

function decodeQ4_1(bytes: Uint8Array, values: Float32Array): void {
  const half = halfTable();
  for (let at = 0, to = 0; at < bytes.length; at += 20, to += 32) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 4 + i]!;
      values[to + i] = d * (pair & 15) + m;
      values[to + 16 + i] = d * (pair >> 4) + m;
    }
  }
}

function decodeQ5_0(bytes: Uint8Array, values: Float32Array): void {
  const half = halfTable();
  for (let at = 0, to = 0; at < bytes.length; at += 22, to += 32) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const fifths = wordAt(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 6 + i]!;
      values[to + i] = d * (((pair & 15) | (((fifths >>> i) & 1) << 4)) - 16);
      values[to + 16 + i] = d * (((pair >> 4) | (((fifths >>> (i + 16)) & 1) << 4)) - 16);
    }
  }
}

function decodeQ5_1(bytes: Uint8Array, values: Float32Array): void {
  const half = halfTable();
  for (let at = 0, to = 0; at < bytes.length; at += 24, to += 32) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    const fifths = wordAt(bytes, at + 4);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 8 + i]!;
      values[to + i] = d * ((pair & 15) | (((fifths >>> i) & 1) << 4)) + m;
      values[to + 16 + i] = d * ((pair >> 4) | (((fifths >>> (i + 16)) & 1) << 4)) + m;
    }
  }
}

function decodeQ8_0(bytes: Uint8Array, values: Float32Array): void {
  const half = halfTable();
  const signed = signedOf(bytes);
  for (let at = 0, to = 0; at < bytes.length; at += 34, to += 32) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < 32; i++) values[to + i] = signed[at + 2 + i]! * d;
  }
}

function decodeQ4_K(bytes: Uint8Array, values: Float32Array): void {
  const half = halfTable();
  for (let at = 0, to = 0; at < bytes.length; at += 144) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    // Sub-blocks 2k and 2k + 1 are the lower and the upper nibbles of the same 32 bytes.
    for (let sub = 0; sub < 8; sub++, to += 32) {
      const scale = d * scaleOf(bytes, at + 4, sub);
      const minimum = m * minimumOf(bytes, at + 4, sub);
      const from = at + 16 + (sub >> 1) * 32;
      const shift = (sub & 1) * 4;
      for (let i = 0; i < 32; i++) values[to + i] = scale * ((bytes[from + i]! >> shift) & 15) - minimum;
    }
  }
}

function decodeQ5_K(bytes: Uint8Array, values: Float32Array): void {
  const half = halfTable();
  for (let at = 0, to = 0; at < bytes.length; at += 176) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    const fifths = at + 16;
    for (let sub = 0; sub < 8; sub++, to += 32) {
      const scale = d * scaleOf(bytes, at + 4, sub);
      const minimum = m * minimumOf(bytes, at + 4, sub);
      const from = at + 48 + (sub >> 1) * 32;
      const shift = (sub & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const q = ((bytes[from + i]! >> shift) & 15) | (((bytes[fifths + i]! >> sub) & 1) << 4);
        values[to + i] = scale * q - minimum;
      }
    }
  }
}

function decodeQ6_K(bytes: Uint8Array, values: Float32Array): void {
  const half = halfTable();
  const signed = signedOf(bytes);
  for (let at = 0, to = 0; at < bytes.length; at += 210) {
    const d = half[bytes[at + 208]! | (bytes[at + 209]! << 8)]!;
    // Of each half's 128 values, the first 64 are lower nibbles and the last 64 upper ones; 32 bytes hold the upper bits
    // of all four quarters. A scale is for 16 values.
    for (let part = 0; part < 16; part++, to += 16) {
      const quarter = (part >> 1) & 3;
      const first = (part & 1) * 16;
      const lower = at + (part >> 3) * 64 + (quarter & 1) * 32 + first;
      const upper = at + 128 + (part >> 3) * 32 + first;
      const shift = (quarter >> 1) * 4;
      const scale = d * signed[at + 192 + part]!;
      for (let i = 0; i < 16; i++) {
        const q = ((bytes[lower + i]! >> shift) & 15) | (((bytes[upper + i]! >> (2 * quarter)) & 3) << 4);
        values[to + i] = scale * (q - 32);
      }
    }
  }
}

const signedOf = (bytes: Uint8Array) => new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);

const wordAt = (bytes: Uint8Array, at: number) =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

// Eight scales and eight minima of 6 bits in 12 bytes: the lower 6 bits of bytes 0-3 are scales 0-3, of bytes 4-7 minima
// 0-3; bytes 8-11 hold the lower nibbles of the other scales and minima, whose upper 2 bits are those of bytes 0-7.
const scaleOf = (bytes: Uint8Array, at: number, sub: number) =>
  sub < 4 ? bytes[at + sub]! & 63 : (bytes[at + sub + 4]! & 15) | ((bytes[at + sub - 4]! >> 6) << 4);
const minimumOf = (bytes: Uint8Array, at: number, sub: number) =>
  sub < 4 ? bytes[at + sub + 4]! & 63 : (bytes[at + sub + 4]! >> 4) | ((bytes[at + sub]! >> 6) << 4);

/**
 * Float32 values as Q8_0, a block for every 32 of them: d = max|x| / 127, q = x / d rounded, halves away from zero, all
 * of it in float32, and d narrowed to F16 only when stored: the roundings of `quantize_row_q8_0_ref` (ggml-quants.c).
 * Where 1/d overflows, and C leaves q undefined, q is 0, as JavaScript converts infinity. `first` is the element that
 * `values` begin with.
 *
 * @throws RangeError that begins with `where`, such as the function and the tensor, at a value that is not finite or
 * whose d is beyond F16.
 */
export function encodeQ8_0(where: string, values: Float32Array, first: number): Uint8Array {
  const blocks = values.length / 32;
  const bytes = new Uint8Array(blocks * 34);
  const signed = signedOf(bytes);
  const scales = new Float32Array(blocks);
  for (let block = 0; block < blocks; block++) {
    const from = block * 32;
    let largest = 0;
    for (let i = from; i < from + 32; i++) largest = Math.max(largest, Math.abs(values[i]!)); // NaN stays
    scales[block] = largest / 127;
    if (!(scales[block]! < 65520)) throw tooLarge(where, values, first); // from there on F16 rounds to infinity
    const inverse = Math.fround(1 / scales[block]!);
    for (let i = 0; i < 32; i++) {
      const scaled = Math.fround(values[from + i]! * inverse);
      signed[block * 34 + 2 + i] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
    }
  }
  narrowF16(scales).forEach((half, block) => {
    bytes[block * 34] = half & 255;
    bytes[block * 34 + 1] = half >> 8;
  });
  return bytes;
}

function tooLarge(where: string, values: Float32Array, first: number): RangeError {
  const at = values.findIndex((value) => !(Math.fround(Math.abs(value) / 127) < 65520));
  return new RangeError(
    `${where}: expected finite values within Q8_0, got ${values[at]} at element ${first + at}; write it as F32`,
  );
}
