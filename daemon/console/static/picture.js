// Film and heat map side by side: window and level, zoom and place are one for both.
const AMBER = [255, 153, 13];
const COLOUR_LEVEL = 0.35;
const LUNG_BLUE = "rgb(110 180 255 / 0.9)";
const LARGEST_ZOOM = 16;
const PAN_STEP = 24, WINDOW_STEP = 0.02, ZOOM_STEP = 1.25;

// The server's answer: length of a JSON text, the text, a table, an activation, values in 16 bits.
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let place = 4 + length;
  const take = (Kind, count) => {
    const taken = new Kind(buffer, place, count);
    place += count * Kind.BYTES_PER_ELEMENT;
    return taken;
  };
  about.table = take(Uint8Array, about.levels);
  about.share = take(Uint8Array, about.activation[0] * about.activation[1]);
  about.values = take(Uint16Array, about.rows * about.columns);
  return about;
}

function surface(columns, rows) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  return canvas;
}

// Amber whose opacity rises in a straight line above the 35 % level.
function amber(share, [rows, columns]) {
  const canvas = surface(columns, rows);
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  share.forEach((level, i) => {
    const opacity = Math.max(0, (level / 255 - COLOUR_LEVEL) / (1 - COLOUR_LEVEL));
    image.data.set([...AMBER, Math.round(255 * opacity)], 4 * i);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

export class Pictures {
  // film, heat: canvases, the latter perhaps null; changed: told when window or zoom are others.
  constructor(film, heat, changed) {
    this.canvases = [film, heat].filter(Boolean);
    this.heat = heat;
    this.changed = changed;
    this.opacity = 0.5;
    this.outline = true;
    this.about = null;
    for (const canvas of this.canvases) this.listen(canvas);
    new ResizeObserver(() => this.draw()).observe(film);
  }

  show(about) {
    const isSame = this.about !== null;
    this.about = about;
    this.grey = surface(about.columns, about.rows);
    this.amber = about.share.length ? amber(about.share, about.activation) : null;
    for (const canvas of this.canvases) canvas.parentElement.style.aspectRatio = `${about.columns} / ${about.rows}`;
    if (isSame) this.window();
    else this.reset();
  }

  reset() {
    Object.assign(this, { centre: this.about.centre, width: this.about.width, zoom: 1, x: 0.5, y: 0.5 });
    this.window();
  }

  get isFilmsOwn() {
    return this.centre === this.about.centre && this.width === this.about.width;
  }

  // The film through its own table, or through a window of the reader's (PS3.3 C.11.2.1.2).
  window() {
    const { about } = this;
    let table = about.table;
    if (!this.isFilmsOwn) {
      table = new Uint8Array(about.levels);
      for (let i = 0; i < about.levels; i++) {
        const share = (about.origin + about.step * i - (this.centre - 0.5)) / Math.max(this.width - 1, 1e-6) + 0.5;
        const grey = 255 * Math.min(Math.max(share, 0), 1);
        table[i] = Math.round(about.inverse ? 255 - grey : grey);
      }
    }
    const opaque = new Uint32Array(about.levels);
    for (let i = 0; i < about.levels; i++) opaque[i] = 0xff000000 | (table[i] * 0x010101);
    const image = new ImageData(about.columns, about.rows);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = opaque[about.values[i]];
    this.grey.getContext("2d").putImageData(image, 0, 0);
    this.draw();
  }

  setWindow(centre, width) {
    const range = this.about.step * (this.about.levels - 1) || 1;
    const most = Math.max(2 * range, this.about.width);
    this.width = Math.min(Math.max(width, range / 1000), most);
    const low = this.about.origin - range, high = this.about.origin + 2 * range;
    this.centre = Math.min(Math.max(centre, low), high);
    if (!this.pending) {
      this.pending = requestAnimationFrame(() => {
        this.pending = 0;
        this.window();
      });
    }
  }

  nudgeWindow(across, up) {
    const range = this.about.step * (this.about.levels - 1) || 1;
    this.setWindow(this.centre + up * range, this.width + across * range);
  }

  // Zoom; the place of the film at (x, y), shares of the canvas, stays where it is.
  zoomBy(factor, x = 0.5, y = 0.5) {
    const zoom = Math.min(Math.max(this.zoom * factor, 1), LARGEST_ZOOM);
    this.x += (x - 0.5) * (1 / this.zoom - 1 / zoom);
    this.y += (y - 0.5) * (1 / this.zoom - 1 / zoom);
    this.zoom = zoom;
    this.draw();
  }

  moveBy(x, y) {
    const box = this.canvases[0].getBoundingClientRect();
    this.x -= x / (box.width * this.zoom);
    this.y -= y / (box.height * this.zoom);
    this.draw();
  }

  listen(canvas) {
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.about) return;
      canvas.setPointerCapture(event.pointerId);
      this.drag = { x: event.clientX, y: event.clientY, moves: event.shiftKey || event.button !== 0 };
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.drag) return;
      const x = event.clientX - this.drag.x, y = event.clientY - this.drag.y;
      Object.assign(this.drag, { x: event.clientX, y: event.clientY });
      if (this.drag.moves) this.moveBy(x, y);
      else this.nudgeWindow(x / 400, (this.about.inverse ? -y : y) / 400);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { this.drag = null; });
    canvas.addEventListener("wheel", (event) => {
      if (!this.about) return;
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
      this.zoomBy(ZOOM_STEP ** -Math.sign(event.deltaY), x, y);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  onKey(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!this.about || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in arrows) {
      const [x, y] = arrows[event.key];
      if (event.shiftKey) this.moveBy(-x * PAN_STEP, -y * PAN_STEP);
      else this.nudgeWindow(x * WINDOW_STEP, y * WINDOW_STEP * (this.about.inverse ? -1 : 1));
    } else if (event.key === "+" || event.key === "=") this.zoomBy(ZOOM_STEP);
    else if (event.key === "-") this.zoomBy(1 / ZOOM_STEP);
    else return;
    event.preventDefault();
  }

  draw() {
    if (!this.about) return;
    const half = 0.5 / this.zoom;
    this.x = Math.min(Math.max(this.x, half), 1 - half);
    this.y = Math.min(Math.max(this.y, half), 1 - half);
    for (const canvas of this.canvases) this.drawOn(canvas);
    this.changed(this);
  }

  drawOn(canvas) {
    const dense = window.devicePixelRatio || 1;
    const box = canvas.getBoundingClientRect();
    const columns = Math.max(Math.round(box.width * dense), 1), rows = Math.max(Math.round(box.height * dense), 1);
    if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
    const context = canvas.getContext("2d");
    const fit = Math.min(columns / this.about.columns, rows / this.about.rows) * this.zoom;
    const wide = this.about.columns * fit, high = this.about.rows * fit;
    const left = columns / 2 - this.x * wide, top = rows / 2 - this.y * high;
    this.scale = fit / dense;
    context.fillStyle = "#000";
    context.fillRect(0, 0, columns, rows);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.grey, left, top, wide, high);
    if (canvas !== this.heat) return;
    if (this.amber) {
      context.globalAlpha = this.opacity;
      context.drawImage(this.amber, left, top, wide, high);
      context.globalAlpha = 1;
    }
    const trace = (lines) => {
      const path = new Path2D();
      for (const line of lines) {
        for (let i = 0; i < line.length; i += 2) path.lineTo(left + line[i] * wide, top + line[i + 1] * high);
        path.closePath();
      }
      return path;
    };
    const stroke = (path, colour, thick) => {
      context.strokeStyle = colour;
      context.lineWidth = thick * dense;
      context.lineJoin = "round";
      context.stroke(path);
    };
    if (this.outline) {
      for (const line of this.about.lungs) {
        const path = trace([line]);
        stroke(path, "rgb(0 0 0 / 0.4)", 3.4);
        stroke(path, LUNG_BLUE, 1.4);
      }
    }
    if (this.opacity) {
      for (const line of this.about.contour) {
        const path = trace([line]);
        stroke(path, "rgb(0 0 0 / 0.85)", 4);
        stroke(path, "#fff", 2);
      }
    }
  }
}

const byId = (id) => document.getElementById(id);

// The pictures of a page with their tools; load: gives the answer at the film's own size, or is null.
export function attach(loadWhole = null) {
  let isWhole = loadWhole === null;
  const range = byId("opacity"), box = byId("outline"), centre = byId("centre"), width = byId("width");
  const windowPlate = byId("window"), zoomPlate = byId("zoom");
  const pictures = new Pictures(byId("film"), byId("heat"), tell);

  function tell(of) {
    const shown = (number) => Math.round(number).toLocaleString("en");
    const mine = of.isFilmsOwn ? "as received" : "changed by you";
    windowPlate.textContent = `C ${shown(of.centre)} W ${shown(of.width)} ${mine}`;
    zoomPlate.textContent = of.zoom === 1 ? "whole film" : `zoom ${of.zoom.toFixed(1)}`;
    if (document.activeElement !== centre) centre.value = Math.round(of.centre);
    if (document.activeElement !== width) width.value = Math.round(of.width);
    // What a screen's size no longer shows is fetched once.
    if (!isWhole && of.scale * (window.devicePixelRatio || 1) > 1.3) {
      isWhole = true;
      loadWhole().then((about) => pictures.show(about), () => {});
    }
  }

  function setOutline(drawn) {
    pictures.outline = box.checked = drawn;
    pictures.draw();
  }

  range?.addEventListener("input", () => {
    pictures.opacity = range.value / 100;
    byId("opacity-value").textContent = `${range.value} %`;
    pictures.draw();
  });
  box?.addEventListener("change", () => setOutline(box.checked));
  for (const field of [centre, width]) {
    field.addEventListener("change", () => {
      if (pictures.about && centre.value && width.value) pictures.setWindow(+centre.value, +width.value);
    });
  }
  byId("larger").addEventListener("click", () => pictures.about && pictures.zoomBy(ZOOM_STEP));
  byId("smaller").addEventListener("click", () => pictures.about && pictures.zoomBy(1 / ZOOM_STEP));
  byId("reset").addEventListener("click", () => pictures.about && pictures.reset());
  if (box) window.firstread.key("l", () => setOutline(!box.checked), "lung outline");
  window.firstread.key("0", () => pictures.about && pictures.reset(), "reset view");

  return (about) => {
    byId("caption").textContent = about.caption;
    byId("instead").hidden = true;
    for (const marker of document.querySelectorAll(".marker")) {
      marker.textContent = about.marker;
      marker.hidden = !about.marker;
    }
    pictures.show(about);
  };
}
