// The worker that holds the keys. It has no page and no storage that a page could read; it answers messages.
"use strict";

importScripts("{{asset "wasm_exec.js"}}", "{{asset "blake3.js"}}");

(async () => {
  const go = new Go();
  const { instance } = await WebAssembly.instantiateStreaming(fetch("{{asset "keys.wasm"}}"), go.importObject);
  await go.run(instance);
  throw "it failed, or ran out of memory"; // it runs for ever otherwise
})().catch((err) => postMessage({ fatal: String(err) }));
