// Try a film: a file goes to the node and comes back as a reading; it is kept nowhere.
import { attach, unpack } from "./picture.js";

const byId = (id) => document.getElementById(id);
const drop = byId("drop"), file = byId("file"), stage = byId("stage"), title = byId("drop-title");

async function read(chosen) {
  byId("refused").hidden = true;
  stage.replaceChildren();
  drop.className = "drop busy";
  title.textContent = "Reading the film. The first one takes longer.";
  file.disabled = true;
  try {
    const token = document.querySelector('meta[name="csrf-token"]').content;
    const headers = { "Content-Type": "application/octet-stream", "X-CSRF-Token": token };
    const answer = await fetch("/try", { method: "POST", headers, body: chosen });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    const buffer = await answer.arrayBuffer();
    const length = new DataView(buffer).getUint32(0, true);
    stage.innerHTML = new TextDecoder().decode(new Uint8Array(buffer, 4, length));
    if (buffer.byteLength > 4 + length) attach()(unpack(buffer.slice(4 + length)));
    drop.className = "drop done";
    title.textContent = "Drop or choose another film";
  } catch (error) {
    byId("refused").textContent = `This file was not read. ${error.message}`;
    byId("refused").hidden = false;
    drop.className = "drop";
    title.textContent = "Drop a film here, or choose a file";
  } finally {
    file.disabled = false;
    file.value = "";
  }
}

file.addEventListener("change", () => { if (file.files.length) read(file.files[0]); });
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files.length) read(event.dataTransfer.files[0]);
});
