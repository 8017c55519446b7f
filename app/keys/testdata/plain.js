// The worker of BenchmarkPlain: it hands on what it fetches, in order, as the keys' worker does what it has decrypted. What it is sent is a port, the
// addresses to fetch from, each with a range, and how many of them at once.
"use strict";

onmessage = async ({ data: { port, parts, reads } }) => {
  let credit = 4, wake, ended;
  const end = new Promise((resolve) => { ended = resolve; });
  port.onmessage = ({ data }) => {
    if (data.more) { credit++; wake?.(); } else if (data.ended) ended();
  };
  const get = async ({ url, from, to }) => {
    const answer = await fetch(url, { headers: { Range: `bytes=${from}-${to}` }, cache: "no-store" });
    return new Uint8Array(await answer.arrayBuffer());
  };
  const coming = parts.slice(0, reads).map(get);
  for (let i = 0; i < parts.length; i++) {
    const whole = await coming.shift();
    if (i + reads < parts.length) coming.push(get(parts[i + reads]));
    for (let at = 0; at < whole.length; at += 1 << 20) {
      while (credit === 0) await new Promise((resolve) => { wake = resolve; });
      credit--;
      const piece = whole.slice(at, at + (1 << 20));
      port.postMessage({ piece }, [piece.buffer]);
    }
  }
  port.postMessage({ end: true });
  await end;
  postMessage("done");
};
