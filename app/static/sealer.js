// The worker that seals files which were made elsewhere. It is started for the first of them, and has no keys but those lent for one upload.
"use strict";

importScripts("{{asset "wasm_exec.js"}}");

(async () => {
  const go = new Go();
  const { instance } = await WebAssembly.instantiateStreaming(fetch("{{asset "sealer.wasm"}}"), go.importObject);
  await go.run(instance);
  throw "it failed, or ran out of memory"; // it runs for ever otherwise
})().catch((err) => postMessage({ fatal: String(err) }));
