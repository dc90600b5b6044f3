// Measures the memory of this process. Needs `--expose-gc`, and must be imported before any module
// that instantiates wasm.

/** Records every wasm memory from now on, because only its owner can see it. */
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
