// Measures the memory of this process. Needs `--expose-gc`, and must be imported before any module
// that instantiates wasm.

/** Records every wasm memory from now on, because only its owner can see it. */
export function watchMemory() {
  const memories = [];
  const watched = (instance) => {
    if (instance.exports.memory) memories.push(instance.exports.memory);
    return instance;
  };
  const { instantiate } = WebAssembly;
  WebAssembly.Instance = new Proxy(WebAssembly.Instance, { construct: (target, args) => watched(new target(...args)) });
  WebAssembly.instantiate = async (...args) => {
    const made = await instantiate(...args);
    watched(made.instance ?? made); // a module makes an instance, bytes make both
    return made;
  };
  return () => {
    gc();
    const { rss, heapUsed } = process.memoryUsage();
    return { rss, heapUsed, wasm: memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0) };
  };
}
