// Weights files as `jaxmnist.page.weights` packs them: safetensors, squeezed by gzip.

import { unzip } from "../packed.js";

// Returns {name, layers} of a packed file.
export async function unpackWeights(packed) {
  const buffer = await unzip(packed);
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const read = (name) => {
    const { dtype, shape, data_offsets: [start, stop] } = header[name];
    const bytes = buffer.slice(8 + length + start, 8 + length + stop);
    const values = dtype === "I8" ? new Int8Array(bytes) : new Float32Array(bytes);
    return { shape, values: Float32Array.from(values) };
  };
  const layers = [];
  for (let number = 1; header[`conv${number}.kernel`]; number++) {
    const { shape, values } = read(`conv${number}.kernel`);
    layers.push({
      kernel: values,
      rows: shape[0],
      columns: shape[1],
      out: shape[3],
      factor: read(`conv${number}.factor`).values,
      bias: read(`conv${number}.bias`).values,
    });
  }
  return { name: header.__metadata__.name, layers };
}
