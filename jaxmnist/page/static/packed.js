// Bytes in a page of text: base 85, as Python's `base64.b85encode` writes it, and gzip.

const ALPHABET =
  "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

// Returns the bytes of a text in base 85.
export function fromBase85(text) {
  const value = new Uint8Array(128);
  for (let i = 0; i < 85; i++) value[ALPHABET.charCodeAt(i)] = i;
  const whole = text.padEnd(Math.ceil(text.length / 5) * 5, "~");
  const bytes = new DataView(new ArrayBuffer((whole.length / 5) * 4));
  for (let i = 0; i < whole.length; i += 5) {
    let number = 0;
    for (let j = 0; j < 5; j++) number = number * 85 + value[whole.charCodeAt(i + j)];
    bytes.setUint32((i / 5) * 4, number);
  }
  return new Uint8Array(bytes.buffer, 0, bytes.byteLength - (whole.length - text.length));
}

// Returns the buffer of what gzip has squeezed.
export async function unzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
