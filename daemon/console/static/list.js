"use strict";

// A list that the node moves: it is fetched anew when something happened, and no row moves under a hand.
firstread.list = (address, { every = 15000 } = {}) => {
  const WAIT_MS = 300; // several moves of one film are one fetch
  const list = () => document.getElementById("list");
  const rows = () => [...document.querySelectorAll("#list tr[data-job]")];
  const current = () => document.activeElement.closest?.("#list tr[data-job]");
  const button = () => document.getElementById("new");
  let timer = null;
  let latest = null;

  const isInHand = () => list().matches(":hover") || list().contains(document.activeElement);

  function schedule() {
    timer ??= setTimeout(async () => {
      timer = null;
      await refresh();
    }, WAIT_MS);
  }

  async function refresh() {
    // A node that does not answer is told of in the bar.
    const response = await fetch(address()).catch(() => null);
    if (!response?.ok) return;
    latest = firstread.parsed(await response.text());
    const root = document.createElement("div");
    root.append(...latest);
    latest = root;
    place(false);
  }

  // Put what was fetched last in place; of a list in hand only its cells change.
  function place(force) {
    if (!latest) return;
    const fetched = latest.querySelector("#list");
    if (!list().querySelector("table") || !fetched.querySelector("table")) {
      if (fetched.querySelector("table")) location.reload();
      return;
    }
    for (const moving of latest.querySelectorAll("[data-live]")) {
      const shown = document.getElementById(moving.id);
      if (!shown.contains(document.activeElement) && shown.innerHTML !== moving.innerHTML) shown.innerHTML = moving.innerHTML;
    }
    const before = new Map(rows().map((row) => [row.dataset.job, row]));
    const after = new Map([...fetched.querySelectorAll("tr[data-job]")].map((row) => [row.dataset.job, row]));
    const hand = isInHand() && !force;
    before.forEach((row, job) => after.has(job) && update(row, after.get(job)));
    const count = hand ? Number(fetched.dataset.films) - Number(list().dataset.films) : 0;
    tell(Math.max(count, 0));
    if (hand) return;
    const focused = current()?.dataset.job;
    // Rows that stay are the same rows, so that focus and choices stay with them.
    after.forEach((row, job) => before.has(job) && row.replaceWith(before.get(job)));
    list().dataset.films = fetched.dataset.films;
    const table = list().querySelector("table");
    table.replaceChildren(...fetched.querySelector("table").childNodes);
    latest = null;
    if (focused) rows().find((row) => row.dataset.job === focused)?.focus();
  }

  function update(row, fresh) {
    row.className = fresh.className;
    [...row.cells].forEach((cell, index) => {
      const other = fresh.cells[index];
      if (cell.dataset.own !== undefined || cell.innerHTML === other.innerHTML) return;
      if (cell.contains(document.activeElement)) return;
      cell.innerHTML = other.innerHTML;
      if (cell.classList.contains("time")) return;
      cell.classList.remove("changed");
      requestAnimationFrame(() => cell.classList.add("changed"));
    });
  }

  function tell(count) {
    if (!button()) return;
    button().hidden = count === 0;
    button().querySelector("span").textContent = `${count} new film${count === 1 ? "" : "s"}`;
  }

  function step(by) {
    const all = rows();
    const place = all.indexOf(current());
    const next = all[place < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(place + by, 0), all.length - 1)];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  function open(event) {
    const row = current();
    if (!row || event.target.closest("a, button, input")) return false;
    location.assign(row.dataset.href);
  }

  firstread.key("j", () => step(1), "next row");
  firstread.key("k", () => step(-1), "previous row");
  firstread.key("Enter", open, "open the film of the row");
  firstread.key("n", () => place(true), "show new films");
  document.addEventListener("click", (event) => {
    if (event.target.closest("#new")) place(true);
    const row = event.target.closest("#list tr[data-job]");
    if (row && !event.target.closest("a, button, input, label")) location.assign(row.dataset.href);
  });
  document.addEventListener("pointerout", (event) => {
    if (!event.relatedTarget?.closest?.("#list")) setTimeout(() => place(false));
  });
  document.addEventListener("focusout", () => setTimeout(() => place(false)));
  firstread.on("job", schedule);
  firstread.on("open", schedule);
  setInterval(schedule, every);
};
