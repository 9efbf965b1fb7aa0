// The reader's worker, asked by promises.

// Starts a worker from its code, which works without a server, too.
export function startReader(code) {
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const waiting = new Map();
  let last = 0;
  const ask = (kind, given) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage({ id: last, kind, given });
    });
  worker.onmessage = ({ data: { id, answer, message } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (answer) resolve(answer);
    else reject(new Error(message));
  };
  return {
    use: (weights) => ask("weights", weights),
    read: (picture) => ask("picture", picture),
  };
}
