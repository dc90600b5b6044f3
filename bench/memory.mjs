// A look at this process's memory; it needs `--expose-gc`, and must come before whoever makes wasm.

/** Wasm memory is seen by its owner alone, so every instance that is made from now on is watched. */
export function watchMemory() {
  const memories = [];
  WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
    construct(target, args) {
      const instance = new target(...args);
      if (instance.exports.memory) memories.push(instance.exports.memory);
      return instance;
    },
  });
  return () => {
    gc();
    const { rss, heapUsed } = process.memoryUsage();
    return { rss, heapUsed, wasm: memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0) };
  };
}
