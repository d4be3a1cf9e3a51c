"use strict";

// What changes while one looks is fetched anew; never under a hand.
(() => {
  const EVERY_PULSES = 5;
  const now = document.getElementById("now");
  let pulses = 0;
  let asked = false;

  async function renew() {
    if (asked || now.contains(document.activeElement) || now.querySelector("#answered:not([hidden])")) return;
    asked = true;
    try {
      const response = await fetch("/node/now");
      if (response.ok) now.replaceChildren(...firstread.parsed(await response.text()));
    } catch {
      // The bar says that the page is not live.
    } finally {
      asked = false;
    }
  }

  function answer(words) {
    const place = document.getElementById("answered");
    place.textContent = words;
    place.hidden = false;
    setTimeout(() => { place.hidden = true; }, 15000);
  }

  now.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    button.disabled = true;
    try {
      const path = `/api/destinations/${encodeURIComponent(button.dataset.destination)}/${button.dataset.do}`;
      const response = await firstread.post(path);
      const said = await response.json();
      answer(said.answer ?? said.detail);
    } catch {
      answer("The console does not answer.");
    } finally {
      button.disabled = false;
    }
  });

  firstread.on("pulse", () => {
    pulses += 1;
    if (pulses % EVERY_PULSES === 0) renew();
  });
})();
