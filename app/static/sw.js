// The service worker keeps the app, so that it starts from this browser, also without a network. It keeps nothing of a person's: answers of
// the API, packs and downloads pass by it.
"use strict";

const cacheName = "holdfast-{{build}}";
const shell = {{shell}};

addEventListener("install", (event) => {
  // Assets are named after their content, so what the browser has already is right.
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(shell.map((address) =>
    new Request(address, { cache: address.startsWith("/assets/") ? "default" : "no-cache" })))));
});

addEventListener("message", (event) => {
  if (event.data === "activate") skipWaiting();
});

addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith("holdfast-") && name !== cacheName) await caches.delete(name);
    }
    await clients.claim();
  })());
});

// Addresses that are not pages of the app.
const elsewhere = /^\/(graphql|packs|download|dl|healthz|readyz|metrics)(\/|$)/;

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || elsewhere.test(url.pathname)) return;
  if (event.request.mode === "navigate") {
    event.respondWith(caches.match("/", { cacheName }).then((page) => page ?? fetch(event.request).catch(() => caches.match("/offline.html", { cacheName }))));
    return;
  }
  if (url.pathname.startsWith("/assets/")) {
    event.respondWith(caches.match(event.request, { cacheName }).then((kept) => kept ?? fetch(event.request)));
  }
});
