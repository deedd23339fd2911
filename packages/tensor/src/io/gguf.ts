// The tensors of a GGUF file, as float32. `ggufHeader.ts` tells of the file's layout, `ggmlFormats.ts` of the numbers'.
import type { FileHandle } from 'node:fs/promises';
import { ggmlFormats } from './ggmlFormats.js';
import { type GgufHeader, type GgufTensorInfo, readHeader } from './ggufHeader.js';
import { openToRead, readInto, show } from './reading.js';

const CHUNK = 1 << 22; // bytes, about

/**
 * Reads a GGUF file: its header, and its tensors dequantised to float32, one after the other, so that they are in memory
 * once, at 4 bytes a value, and the file's bytes only in part. The floats are gguf-py's to the last bit.
 *
 * @throws Error naming the file, and the key or tensor where one is to blame, if it cannot be read, is not valid or has
 * a tensor of a type not in `GgmlType`.
 *
 * ```ts
 * const { header, tensors } = await readGguf('model.gguf');
 * tensors['output_norm.weight']?.shape; // [576]
 * ```
 */
export async function readGguf(
  file: string,
): Promise<{ header: GgufHeader; tensors: Record<string, { shape: number[]; values: Float32Array }> }> {
  const { handle, size } = await openToRead('readGguf', file);
  try {
    const header = await readHeader(handle, file, size);
    const largest = header.tensors.reduce((most, { bytes }) => Math.max(most, bytes), 0);
    const buffer = new Uint8Array(Math.min(CHUNK, largest));
    const tensors: [string, { shape: number[]; values: Float32Array }][] = [];
    for (const info of header.tensors) {
      const values = await readValues(handle, file, info, buffer);
      tensors.push([info.name, { shape: [...info.shape], values }]);
    }
    return { header, tensors: Object.fromEntries(tensors) };
  } finally {
    await handle.close();
  }
}

/** A tensor's values, read through `buffer`, which holds a block at least. */
async function readValues(handle: FileHandle, file: string, info: GgufTensorInfo, buffer: Uint8Array) {
  const { block, bytes: blockBytes, decode } = ggmlFormats[info.type];
  const values = new Float32Array((info.bytes / blockBytes) * block);
  const step = Math.floor(buffer.length / blockBytes);
  for (let first = 0; first * block < values.length; first += step) {
    const part = values.subarray(first * block, (first + step) * block);
    const bytes = buffer.subarray(0, (part.length / block) * blockBytes);
    const where = `readGguf: ${file}: tensor ${show(info.name)}`;
    await readInto(where, handle, info.begin + first * blockBytes, bytes);
    decode(bytes, part);
  }
  return values;
}
