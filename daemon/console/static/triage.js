"use strict";

firstread.list(() => `/triage/list${location.search}`);
firstread.key("/", () => location.assign("/jobs#q"), "search jobs");
firstread.key("Escape", () => {
  const tip = document.activeElement.closest(".tip") ?? document.querySelector(".tip:hover");
  if (tip) tip.classList.add("closed");
  else if (document.activeElement !== document.body) document.activeElement.blur();
  else if (location.search) location.assign("/");
}, "close, leave the list, or show all");
for (const event of ["focusout", "pointerout"]) {
  document.addEventListener(event, ({ target }) => target.closest?.(".tip")?.classList.remove("closed"));
}
document.getElementById("sender")?.addEventListener("change", ({ target }) => target.form.requestSubmit());
