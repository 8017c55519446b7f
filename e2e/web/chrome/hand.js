// The eyes and hands of a person on a page: what can be seen, what it is called, where to press.
"use strict";

window.hand = (() => {
  const plain = (s) => (s ?? "").replace(/\s+/g, " ").trim();
  const shown = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && e.getClientRects().length > 0;

  // Names of an element, as somebody who looks at it or hears it has them.
  const names = (e) => {
    const by = (e.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent).join(" ");
    return [e.getAttribute("aria-label"), by, ...[...(e.labels ?? [])].map((l) => l.textContent), e.matches("select, textarea") ? "" : e.textContent, e.title, e.placeholder]
      .map(plain).filter((s) => s !== "");
  };
  const called = (e, name) => names(e).some((n) => name.endsWith("*") ? n.startsWith(name.slice(0, -1)) : n === name);

  // Where an element can be pressed: nothing may cover it, and it has to have come to rest.
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const place = async (e) => {
    e.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
    const at = () => { const r = e.getClientRects()[0]; return r && { x: r.left + r.width / 2, y: r.top + r.height / 2 }; };
    const before = at();
    for (let i = 0; i < 4; i++) await frame();
    const now = at();
    if (!before || !now || before.x !== now.x || before.y !== now.y) return null;
    const top = document.elementFromPoint(now.x, now.y);
    return top && (e.contains(top) || top.contains(e) && top.closest("label, a, button") === top || [...(e.labels ?? [])].some((l) => l.contains(top))) ? now : null;
  };

  // A name can say within what: "Folders > Documents".
  const within = (name) => {
    const [group, rest] = name.includes(" > ") ? name.split(" > ") : [null, name];
    const places = group === null ? [document] : [...document.querySelectorAll("[aria-label], [aria-labelledby], .card")].filter((e) => shown(e) && called(e, group));
    return [places, rest];
  };

  const find = async (kinds, full) => {
    const [places, name] = within(full);
    for (const e of places.flatMap((p) => [...p.querySelectorAll(kinds)])) {
      if (e.disabled || !shown(e) || !called(e, name)) continue;
      const at = await place(e);
      if (at) return [e, at];
    }
    return null;
  };
  const press = "button, a[href], [role=button], summary, input[type=checkbox], input[type=radio]";
  const type = "input:not([type=checkbox]):not([type=radio]):not([readonly]), textarea";

  // What was aimed at, and whether it was hit: something may move at the last moment.
  let aim = null, hit = false;
  addEventListener("click", (e) => { hit ||= aim !== null && (aim.contains(e.target) || [...(aim.labels ?? [])].some((l) => l.contains(e.target))); }, true);

  return {
    // missed returns whether the last press hit something else.
    missed: () => aim !== null && !hit,
    // press returns where to press what is called so; null: nowhere yet.
    press: async (name) => {
      const found = await find(press, name);
      if (!found) return null;
      [aim, hit] = [found[0], false];
      return found[1];
    },
    // type marks all that stands in the field that is called so, and returns whether it could.
    type: async (name) => {
      const e = (await find(type, name))?.[0];
      if (!e) return null;
      e.focus();
      e.select();
      return document.activeElement === e ? true : null;
    },
    // files remembers the input for files that is called so, in window.input, and returns where a file can be dropped on it.
    files: async (name) => {
      const found = await find("input[type=file]", name);
      if (!found) return null;
      window.input = found[0];
      return found[1];
    },
    // choose chooses one of a list.
    choose: async (name, option) => {
      for (const e of document.querySelectorAll("select")) {
        if (e.disabled || !shown(e) || !called(e, name)) continue;
        const o = [...e.options].find((o) => option.endsWith("*") ? plain(o.text).startsWith(option.slice(0, -1)) : plain(o.text) === option);
        if (!o) continue;
        e.value = o.value;
        e.dispatchEvent(new Event("change", { bubbles: true }));
        return true;
      }
      return null;
    },
    // sees returns whether a text can be read on the page.
    sees: (text) => plain(document.body.innerText).toLowerCase().includes(plain(text).toLowerCase()) || null,
    lacks: (text) => !plain(document.body.innerText).toLowerCase().includes(plain(text).toLowerCase()) || null,
    text: () => plain(document.body.innerText),
    // read returns the texts of all elements that a selector names.
    read: (selector) => { const all = [...document.querySelectorAll(selector)].filter(shown).map((e) => plain(e.innerText)); return all.length ? all : null; },
  };
})();
window.violations = [];
addEventListener("securitypolicyviolation", (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber} ${e.sample}`));

// How it feels: when something to type into or a screen of the app is first there, and how much moves by itself that a person may be reading.
window.felt = { usable: 0, shift: 0, moved: [] };
(() => {
  const look = () => {
    const there = !document.getElementById("splash") && document.querySelector(".hf-door input:enabled, .app-main .app-content");
    if (there) felt.usable = performance.now(); else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) {
      if (e.hadRecentInput) continue;
      felt.shift += e.value;
      for (const s of e.sources) felt.moved.push(`${e.value.toFixed(3)} at ${Math.round(e.startTime)} ms: ${s.node?.nodeName} ${s.node?.className ?? s.node?.textContent} from ${JSON.stringify(s.previousRect)} to ${JSON.stringify(s.currentRect)}`);
    }
  }).observe({ type: "layout-shift", buffered: true });
})();
