"use strict";

(() => {
  const form = document.getElementById("search");
  const field = document.getElementById("q");
  const dialog = document.getElementById("requeue");
  const chosen = () => [...document.querySelectorAll("#list td.choose input:checked")].map((box) => box.closest("tr").dataset.job);
  let jobs = [];

  function go(link) {
    document.getElementById(link)?.click();
  }

  if (location.hash === "#q") field.focus();
  firstread.list(() => `/jobs/list${location.search}`, { every: 60000 });
  firstread.key("/", () => field.select(), "search");
  firstread.key("[", () => go("newer"), "newer jobs");
  firstread.key("]", () => go("older"), "older jobs");
  firstread.key("Escape", () => {
    if (document.activeElement !== document.body) document.activeElement.blur();
    else if (location.search) location.assign("/jobs");
  }, "leave the field or row, or clear the search");

  form.addEventListener("change", ({ target }) => {
    if (target.value === "other") {
      document.getElementById("date").hidden = false;
      document.getElementById("date").focus();
    } else if (target.id === "date" && target.value) {
      form.elements.day.append(new Option(target.value, target.value, true, true));
      form.requestSubmit();
    } else if (target.matches("select")) form.requestSubmit();
  });

  document.getElementById("copy")?.addEventListener("click", async () => {
    const text = document.getElementById("text");
    // Browsers give the clipboard to pages by https or of this machine alone.
    if (navigator.clipboard) await navigator.clipboard.writeText(text.value);
    else {
      text.select();
      document.execCommand("copy");
    }
    document.getElementById("copied").textContent = "Copied";
  });

  if (!dialog) return;

  function ask(what) {
    document.getElementById("requeue-what").textContent = what;
    document.getElementById("requeue-fault").textContent = "";
    dialog.showModal();
  }

  document.addEventListener("change", ({ target }) => {
    if (!target.matches("#list .choose input")) return;
    if (target.id === "all") {
      document.querySelectorAll("#list td.choose input:enabled").forEach((box) => { box.checked = target.checked; });
    }
    const bar = document.getElementById("selection");
    bar.hidden = chosen().length === 0;
    bar.querySelector("b").textContent = `${chosen().length} selected`;
  });

  document.addEventListener("click", (event) => {
    const one = event.target.closest("[data-requeue]");
    if (one) {
      jobs = [one.dataset.requeue];
      ask(`Job ${jobs[0]}: ${one.dataset.what} goes again.`);
    } else if (event.target.closest("#requeue-selected")) {
      jobs = chosen();
      ask(`${jobs.length} job${jobs.length === 1 ? "" : "s"} (${jobs.join(", ")}): failed results are sent again; of a film without any, the film is read again.`);
    }
  });

  document.getElementById("requeue-do").addEventListener("click", async () => {
    const reason = document.getElementById("reason").value;
    const faults = [];
    for (const job of jobs) {
      const response = await firstread.post(`/api/jobs/${job}/requeue`, { reason });
      if (!response.ok) faults.push((await response.json().catch(() => ({}))).detail ?? `job ${job}: status ${response.status}`);
    }
    if (faults.length) document.getElementById("requeue-fault").textContent = faults.join("; ");
    else location.reload();
  });
})();
