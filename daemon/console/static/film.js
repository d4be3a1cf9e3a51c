// The page of one film: its pictures, texture, dialogs and keys.
import { attach, unpack } from "./picture.js";

const stage = document.getElementById("stage");
const byId = (id) => document.getElementById(id);

async function fetched(address) {
  const answer = await fetch(address);
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({ detail: answer.statusText }));
  throw new Error(told.detail);
}

async function load(whole) {
  return unpack(await (await fetched(`${stage.dataset.source}${whole ? "?full=true" : ""}`)).arrayBuffer());
}

if (byId("film")) {
  const show = attach(() => load(true));
  load(false).then(show, (error) => {
    byId("instead").textContent = `No picture: ${error.message}`;
    document.querySelector(".tools").hidden = true;
  });
}

const texture = byId("texture");
if (texture.dataset.source) {
  fetched(texture.dataset.source).then((answer) => answer.json()).then((sides) => {
    const digits = { mean: 2, entropy: 1, contrast: 2 };
    for (const place of texture.querySelectorAll("[data-figure]")) {
      const name = place.dataset.figure;
      const figure = (side) => sides[side]?.[name]?.toFixed(digits[name]) ?? "–";
      place.textContent = `${figure("right")} / ${figure("left")}${name === "entropy" ? " bit" : ""}`;
    }
  }, (error) => { byId("texture-note").textContent = error.message; });
}

async function act(path, body) {
  const answer = await window.firstread.post(path, body);
  if (answer.ok) location.reload();
  else throw new Error((await answer.json()).detail);
}

for (const opener of document.querySelectorAll("[data-dialog]")) {
  opener.addEventListener("click", () => byId(opener.dataset.dialog).showModal());
}
for (const form of document.querySelectorAll("form[data-action]")) {
  form.querySelector("[data-close]").addEventListener("click", () => form.parentElement.close());
  form.addEventListener("change", () => {
    const remark = form.elements.remark;
    if (!remark) return;
    remark.disabled = form.elements.finding.value !== "other finding";
    if (!remark.disabled) remark.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = Object.fromEntries(new FormData(form));
    if (form.dataset.opinion) body.opinion = form.dataset.opinion;
    act(form.dataset.action, body).catch((error) => { form.querySelector(".error").textContent = error.message; });
  });
}

for (const [id, opinion] of [["agree", "AGREE"], ["unsure", "UNSURE"]]) {
  byId(id).addEventListener("click", () => {
    act(`/api/jobs/${stage.dataset.job}/verdict`, { opinion }).catch((error) => { byId("done").textContent = error.message; });
  });
}

const press = (id) => () => byId(id)?.click();
window.firstread.key("a", press("agree"), "agree");
window.firstread.key("d", press("disagree"), "disagree");
for (const letter of ["k", "["]) window.firstread.key(letter, press("newer"), "newer film");
for (const letter of ["j", "]"]) window.firstread.key(letter, press("older"), "older film");
window.firstread.key("Escape", press("back"), "back to the list");
