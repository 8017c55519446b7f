// Boot starts the app: the theme before the first paint, the service worker, the program with a progress bar. It also is the little that
// go-app's runtime expects to find on the page (names that begin with goapp).
"use strict";

const boot = document.currentScript.dataset;

// The theme. A page that flashes white at night is not read.
(() => {
  const apply = () => {
    let chosen = null;
    try { chosen = localStorage.getItem("theme"); } catch { /* storage is switched off */ }
    const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.setAttribute("data-bs-theme", dark ? "dark" : "light");
  };
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  window.holdfastTheme = (theme) => {
    try { theme ? localStorage.setItem("theme", theme) : localStorage.removeItem("theme"); } catch { /* for this page only */ }
    apply();
    if (theme) document.documentElement.setAttribute("data-bs-theme", theme);
  };
})();

// What go-app calls.
var goappNav = () => {};
var goappOnUpdate = () => { goappUpdatedBeforeWasmLoaded = true; };
var goappUpdatedBeforeWasmLoaded = false;
var goappOnAppInstallChange = () => { goappAppInstallChangedBeforeWasmLoaded = true; };
var goappAppInstallChangedBeforeWasmLoaded = false;

var goappGetenv = (name) => ({
  GOAPP_VERSION: boot.version, GOAPP_BUILD: boot.build, GOAPP_KEYS: boot.keys, GOAPP_SEALER: boot.sealer, GOAPP_LOGO: boot.logo,
  GOAPP_STATIC_RESOURCES_URL: "/assets", GOAPP_ROOT_PREFIX: "", GOAPP_INTERNAL_URLS: "null",
}[name]);

// Installing.
let installPrompt = null;
addEventListener("beforeinstallprompt", (e) => { e.preventDefault(); installPrompt = e; goappOnAppInstallChange(); });
addEventListener("appinstalled", () => { installPrompt = null; goappOnAppInstallChange(); });
var goappIsAppInstalled = () => navigator.standalone === true || matchMedia("(display-mode: standalone)").matches;
var goappIsAppleBrowser = () => /iP(hone|ad|od)/.test(navigator.userAgent);
var goappIsAppInstallable = () => !goappIsAppInstalled() && installPrompt !== null;
var goappShowInstallPrompt = async () => {
  if (!installPrompt) return;
  installPrompt.prompt();
  await installPrompt.userChoice;
  installPrompt = null;
  goappOnAppInstallChange();
};

// Updating: a new release waits until its user agrees, because it takes the place of what the page is made of.
let registration = null;
var goappTryUpdate = () => { registration?.update().catch(() => {}); };
window.holdfastUpdate = () => {
  const waiting = registration?.waiting;
  if (!waiting) { location.reload(); return; }
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  waiting.postMessage("activate");
};
if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("/sw.js").then((r) => {
    registration = r;
    const ready = () => { if (r.waiting && navigator.serviceWorker.controller) goappOnUpdate(); };
    ready();
    r.addEventListener("updatefound", () => r.installing?.addEventListener("statechange", ready));
    setInterval(goappTryUpdate, 60 * 60 * 1000);
  }).catch((err) => console.warn("this browser keeps no copy of the app:", err));
}

// The program.
const wasm = fetch(boot.wasm);
addEventListener("DOMContentLoaded", async () => {
  try { // the installation's name, as this browser last saw it
    const name = JSON.parse(localStorage.getItem("holdfast-brand"))?.Name;
    if (name) document.title = document.querySelector(".hf-splash-name").textContent = name;
  } catch { /* the app finds out by itself */ }
  const bar = document.getElementById("splash-bar"), text = document.getElementById("splash-text");
  const fail = (why) => {
    bar?.remove();
    if (text) text.textContent = why;
  };
  if (typeof WebAssembly !== "object" || typeof Go !== "function") {
    return fail("This browser cannot run Holdfast: it has no WebAssembly. Any browser of the last years has.");
  }
  try {
    const response = await wasm;
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const total = Number(response.headers.get("X-Plain-Length")) || 0;
    let loaded = 0;
    const counted = new TransformStream({
      transform(chunk, out) {
        loaded += chunk.byteLength;
        if (total && bar) bar.value = Math.min(100, 100 * loaded / total);
        out.enqueue(chunk);
      },
    });
    const go = new Go();
    const { instance } = await WebAssembly.instantiateStreaming(
      new Response(response.body.pipeThrough(counted), { headers: { "Content-Type": "application/wasm" } }), go.importObject);
    if (text) text.textContent = "Starting";
    const ended = go.run(instance); // the first screen is there when this returns
    document.getElementById("splash")?.remove();
    await ended;
    location.reload(); // the program has ended, which it never does by itself
  } catch (err) {
    console.error(err);
    fail(navigator.onLine ? `Holdfast could not be loaded (${err.message}). Reload the page to try again.` : "You are offline, and this browser has no copy of Holdfast yet. Connect and reload the page.");
  }
});
