// What turns decrypted pieces into a download: a service worker for /dl/ and nothing else. A page offers a download under a name that nobody
// guesses, with a port on which the worker that decrypts sends pieces; then it opens that name in a frame, and the browser takes what is answered for a
// file that a server sends. See app/browser, port_js.go and save_js.go. Nothing is kept, and nothing is read that is not offered.
"use strict";

const offers = new Map(); // name -> {headers, stream, finished}

const queue = 8;            // pieces that wait here
const silence = 5 * 60_000; // ms: whoever offered and then says nothing is gone

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("message", (event) => {
  const { id, name, type, size } = event.data;
  if (id === undefined) return; // a ping: it kept this worker alive
  const [port, answer] = event.ports;
  let control, pulled, finish, over = false;
  const finished = new Promise((resolve) => { finish = resolve; });
  const end = (message) => {
    if (over) return;
    over = true;
    clearInterval(watch);
    offers.delete(id);
    if (message) port.postMessage(message);
    pulled?.();
    finish();
  };
  const stream = new ReadableStream({
    start(c) { control = c; },
    pull() {
      if (over) return;
      port.postMessage({ more: true });
      return new Promise((resolve) => { pulled = resolve; });
    },
    cancel() { end({ gone: true }); },
  }, { highWaterMark: queue });
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
  offers.set(id, { headers, stream, finished });
  answer.postMessage("offered");
});

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const id = url.pathname.slice("/dl/".length);
  const offer = offers.get(id);
  if (!offer || url.origin !== location.origin) return;
  offers.delete(id);
  event.respondWith(new Response(offer.stream, { headers: offer.headers }));
  event.waitUntil(offer.finished);
});
