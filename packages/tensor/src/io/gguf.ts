// The tensors of a GGUF file, as float32. `ggufHeader.ts` tells of the file's layout, `ggmlFormats.ts` of the numbers'.
import type { FileHandle } from 'node:fs/promises';
import { ggmlFormats } from './ggmlFormats.js';
import { type GgufHeader, type GgufTensorInfo, readHeader } from './ggufHeader.js';
import { isSameFile, readInto, show, withFile } from './reading.js';

const CHUNK = 1 << 22; // bytes, about

/** A GGUF file: what it holds, and a way to the values of each tensor. Nothing stays open between reads. */
export interface OpenGguf {
  readonly header: GgufHeader;
  /**
   * The values of a tensor, dequantised, in `into` where that is given: an array of its size.
   *
   * @throws Error naming the file and the tensor if it cannot be read, and if the file changed since it was opened.
   */
  read(name: string, into?: Float32Array): Promise<Float32Array>;
}

/**
 * Reads the header of a GGUF file, and lets the tensors be read one after another, dequantised to float32. The floats are
 * gguf-py's to the last bit.
 *
 * @throws Error naming the file, and the key or tensor where one is to blame, if it cannot be read, is not valid or has
 * a tensor of a type not in `GgmlType`.
 *
 * ```ts
 * const { header, read } = await openGguf('model.gguf');
 * for (const { name } of header.tensors) console.log(name, (await read(name)).length);
 * ```
 */
export async function openGguf(file: string): Promise<OpenGguf> {
  const opened = await withFile('readGguf', file, async (handle, stats) => ({
    header: await readHeader(handle, file, stats.size),
    stats,
  }));
  const infos = new Map(opened.header.tensors.map((info) => [info.name, info]));
  return {
    header: opened.header,
    read(name, into) {
      const info = infos.get(name);
      if (!info) throw new RangeError(`readGguf: ${file}: expected the name of a tensor, got ${show(name)}`);
      return withFile('readGguf', file, (handle, stats) => {
        if (isSameFile(stats, opened.stats)) return readValues(handle, file, info, into);
        throw new Error(
          `readGguf: ${file}: tensor ${show(name)}: expected the file as it was opened, got one that has changed; read it again`,
        );
      });
    },
  };
}

/**
 * Reads a GGUF file whole, its tensors dequantised to float32 one after the other, so that they are in memory once.
 *
 * @throws Error as `openGguf` and its `read` do.
 *
 * ```ts
 * const { header, tensors } = await readGguf('model.gguf');
 * tensors['output_norm.weight']?.shape; // [576]
 * ```
 */
export async function readGguf(
  file: string,
): Promise<{ header: GgufHeader; tensors: Record<string, { shape: number[]; values: Float32Array }> }> {
  const { header, read } = await openGguf(file);
  const tensors: [string, { shape: number[]; values: Float32Array }][] = [];
  for (const { name, shape } of header.tensors) tensors.push([name, { shape: [...shape], values: await read(name) }]);
  return { header, tensors: Object.fromEntries(tensors) };
}

async function readValues(
  handle: FileHandle,
  file: string,
  info: GgufTensorInfo,
  into?: Float32Array,
): Promise<Float32Array> {
  const { block, bytes: blockBytes, decode } = ggmlFormats[info.type];
  const size = (info.bytes / blockBytes) * block;
  if (into && into.length !== size) {
    throw new RangeError(
      `readGguf: ${file}: tensor ${show(info.name)}: expected an array of ${size}, got ${into.length}`,
    );
  }
  const values = into ?? new Float32Array(size);
  const buffer = new Uint8Array(Math.min(CHUNK, info.bytes));
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
