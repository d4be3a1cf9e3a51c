"use strict";

// What every page has: the event stream, requests that change something, keys.
window.firstread = (() => {
  const SILENT_MS = 4000; // four pulses
  const STALE_SECONDS = 30;
  const live = document.getElementById("live");
  const handlers = new Map();
  let source = null;
  let clock = ""; // the node's, as of the last pulse
  let heard = 0;

  // POST JSON with the session's token; resolves to the response, whatever its status.
  function post(path, body) {
    const token = document.querySelector('meta[name="csrf-token"]');
    return fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(token && { "X-CSRF-Token": token.content }) },
      body: JSON.stringify(body ?? {}),
    });
  }

  // Call `handler` with the data of each event of that name; "open" each time the stream (again) begins.
  function on(name, handler) {
    if (!handlers.has(name)) {
      handlers.set(name, []);
      if (source) listen(name);
    }
    handlers.get(name).push(handler);
  }

  function listen(name) {
    source.addEventListener(name, (event) => {
      const data = event.data ? JSON.parse(event.data) : null;
      handlers.get(name).forEach((handler) => handler(data));
    });
  }

  function connect() {
    source = new EventSource("/live");
    source.addEventListener("error", leaveIfLoggedOut);
    handlers.forEach((_, name) => listen(name));
  }

  // A session that has ended takes what it showed from the screen; the login leads back here.
  async function leaveIfLoggedOut() {
    const response = await fetch("/api/me").catch(() => null);
    if (response?.status === 401) location.reload();
  }

  function icon(name) {
    const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    drawing.classList.add("icon");
    drawing.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `/static/icons.svg#${name}`);
    drawing.append(use);
    return drawing;
  }

  // The state is announced when it changes; the clock, which changes each second, is not.
  function show(state, level, glyph, words, time) {
    if (live.dataset.state !== state) {
      live.dataset.state = state;
      live.className = `live ${level}`;
      const [said, ticking] = [document.createElement("span"), document.createElement("span")];
      ticking.setAttribute("aria-hidden", "true");
      live.replaceChildren(icon(glyph), " ", said, ticking);
      said.textContent = words;
      document.body.dataset.live = state;
    }
    live.lastChild.textContent = time;
  }

  function pulse(data) {
    clock = data.clock;
    heard = Date.now();
    const age = data.reader_age_seconds;
    if (age === null) show("absent", "urgent", "bang", "No reader has run", "");
    else if (age <= STALE_SECONDS) show("live", "", "ok", "Live", `, ${clock}`);
    else show("stale", "urgent", "bang", "Reader stale", age < 120 ? `, ${age} s` : `, ${Math.round(age / 60)} min`);
  }

  function watch() {
    if (!document.hidden && Date.now() - heard > SILENT_MS) {
      show("lost", "urgent", "bang", clock ? `Not live since ${clock}` : "Not live", "");
    }
  }

  if (live) {
    heard = Date.now();
    connect();
    on("pulse", pulse);
    on("banner", (data) => document.getElementById("banner").replaceChildren(...parsed(data.html)));
    setInterval(watch, 1000);
    // A browser has six connections to a host: pages that nobody sees hold none.
    document.addEventListener("visibilitychange", () => {
      source.close();
      heard = Date.now();
      if (!document.hidden) connect();
    });
  }

  function parsed(html) {
    return new DOMParser().parseFromString(html, "text/html").body.childNodes;
  }

  const NAMED = new Set(["Enter", "Escape"]); // no character keys: always on (WCAG 2.1.4)
  const keys = new Map();
  const areOn = () => localStorage.getItem("keys") !== "off";

  // Call `handler` when a key is pressed outside fields and dialogs; one that returns false leaves the key alone.
  function key(letter, handler, description) {
    keys.set(letter, { handler, description });
  }

  document.addEventListener("keydown", (event) => {
    const bound = keys.get(event.key);
    if (!bound || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (!NAMED.has(event.key) && (!areOn() || event.target.matches("input, select, textarea, [contenteditable]"))) return;
    if (bound.handler(event) !== false) event.preventDefault();
  });

  const dialog = document.getElementById("keys");
  if (dialog) {
    const choice = dialog.querySelector("input");
    document.getElementById("keys-open").addEventListener("click", () => {
      choice.checked = areOn();
      dialog.querySelector("dl").replaceChildren(...[...keys].flatMap(([letter, { description }]) => {
        const [term, meaning] = [document.createElement("dt"), document.createElement("dd")];
        term.append(Object.assign(document.createElement("kbd"), { textContent: letter === "Escape" ? "Esc" : letter }));
        meaning.textContent = description;
        return [term, meaning];
      }));
      dialog.showModal();
    });
    choice.addEventListener("change", () => localStorage.setItem("keys", choice.checked ? "on" : "off"));
  }

  return { post, on, key, parsed };
})();
