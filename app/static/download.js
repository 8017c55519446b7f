// What turns decrypted pieces into a download: a service worker for /dl/ and nothing else. A page offers a download under a name that nobody
// guesses, with a port on which the worker that decrypts sends pieces; then it opens that name in a frame, and the browser takes what is answered for a
// file that a server sends. See app/browser, port_js.go and save_js.go. Nothing is kept, and nothing is read that is not offered.
"use strict";

const offers = new Map(); // name -> {headers, stream}: offered, and not fetched yet
const under = new Set();  // names of downloads that are under way

const queue = 4 << 20;      // bytes that wait here; with twice as many nothing is faster
const silence = 5 * 60_000; // ms: whoever offered and then says nothing is gone

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("message", (event) => {
  const { id, name, type, size, ping } = event.data;
  if (ping !== undefined) { // it kept this worker alive; or it woke another one, which knows of nothing
    if (!under.has(ping)) event.source.postMessage({ unknown: ping });
    return;
  }
  const [port, answer] = event.ports;
  let control, pulled, over = false;
  const end = (message) => {
    if (over) return;
    over = true;
    clearInterval(watch);
    offers.delete(id);
    under.delete(id);
    if (message) port.postMessage(message);
    pulled?.();
  };
  const stream = new ReadableStream({
    start(c) { control = c; },
    pull() {
      if (over) return;
      port.postMessage({ more: true });
      return new Promise((resolve) => { pulled = resolve; });
    },
    cancel() { end({ gone: true }); },
  }, new ByteLengthQueuingStrategy({ highWaterMark: queue }));
  let heard = Date.now();
  const watch = setInterval(() => {
    if (Date.now() - heard < silence) return;
    control.error(new Error("the page is gone"));
    end({ gone: true });
  }, 30_000);
  port.onmessage = ({ data }) => {
    heard = Date.now();
    if (over) return;
    if (data.piece) {
      control.enqueue(data.piece);
      pulled?.();
    } else if (data.end) {
      control.close();
      end({ ended: true });
    } else if (data.abort !== undefined) {
      control.error(new Error(data.abort));
      end();
      port.close();
    }
  };
  const headers = {
    "Content-Type": type,
    "Content-Disposition": `attachment; filename*=UTF-8''${encodeURIComponent(name).replace(/['()*]/g, (c) => "%" + c.charCodeAt(0).toString(16))}`,
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
  };
  if (size >= 0) headers["Content-Length"] = String(size);
  offers.set(id, { headers, stream });
  under.add(id);
  answer.postMessage("offered");
});

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const id = url.pathname.slice("/dl/".length);
  const offer = offers.get(id);
  if (!offer || url.origin !== location.origin) return;
  offers.delete(id);
  // Not waitUntil: browsers end a worker whose event lasts for minutes. Pings, each an event of its own, keep it as long as it takes.
  event.respondWith(new Response(offer.stream, { headers: offer.headers }));
});
