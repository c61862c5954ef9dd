// Heatmaps over the picture: any of the maps, at any opacity, as contours, with values under the pointer.
const look = document.querySelector("[data-look]");
const stage = look?.querySelector("[data-stage]");
const canvas = stage?.querySelector("canvas");

if (canvas) start();

function start() {
  const image = stage.querySelector("img");
  const readout = look.querySelector("[data-readout]");
  const controls = look.querySelector("[data-controls]");
  const opacity = look.querySelector("#opacity");
  const contour = look.querySelector("#contour");
  const jet = look.querySelector("#jet");
  const even = look.dataset.palette.match(/.{6}/g).map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  const rainbow = Array.from({ length: 256 }, (_, i) => [3, 2, 1].map((centre) =>
    Math.round(255 * Math.max(0, Math.min(1, 1.5 - Math.abs((4 * i) / 255 - centre))))));
  const quiet = readout.textContent;
  let heat = null; // of the chosen map: width, height, values 0…255

  async function choose(radio) {
    const grey = new Image();
    grey.src = radio.dataset.heat;
    await grey.decode();
    const sheet = new OffscreenCanvas(grey.width, grey.height);
    const pen = sheet.getContext("2d");
    pen.drawImage(grey, 0, 0);
    const pixels = pen.getImageData(0, 0, grey.width, grey.height).data;
    const values = new Uint8Array(grey.width * grey.height);
    for (let i = 0; i < values.length; i++) values[i] = pixels[4 * i];
    heat = { width: grey.width, height: grey.height, values, text: radio.parentElement.querySelector("b").textContent };
    draw();
  }

  function draw() {
    if (!heat) return;
    canvas.width = heat.width;
    canvas.height = heat.height;
    const pen = canvas.getContext("2d");
    const out = pen.createImageData(heat.width, heat.height);
    const colours = jet.checked ? rainbow : even;
    const most = opacity.value / 100;
    for (let i = 0; i < heat.values.length; i++) {
      const v = heat.values[i];
      let alpha = 255 * most * Math.min(1, v / 140);
      if (contour.checked) alpha = isEdge(i) ? 255 : 0;
      const [r, g, b] = colours[contour.checked ? Math.min(255, 80 + v) : v];
      out.data.set([r, g, b, alpha], 4 * i);
    }
    pen.putImageData(out, 0, 0);
    canvas.hidden = false;
  }

  // A contour runs where the level, one of five, differs from that of the pixel to the right or below.
  function isEdge(i) {
    const level = (v) => Math.floor(v / 51.2);
    const { width, values } = heat;
    const here = level(values[i]);
    const right = (i + 1) % width ? level(values[i + 1]) : here;
    const below = i + width < values.length ? level(values[i + width]) : here;
    return here !== right || here !== below;
  }

  canvas.addEventListener("pointermove", (event) => {
    if (!heat) return;
    const box = canvas.getBoundingClientRect();
    const x = Math.min(heat.width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * heat.width)));
    const y = Math.min(heat.height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * heat.height)));
    const value = heat.values[y * heat.width + x] / 255;
    const at = [Math.round((x / heat.width) * image.naturalWidth), Math.round((y / heat.height) * image.naturalHeight)];
    readout.textContent = `${heat.text}: ${value.toFixed(2)} of the hottest, at ${at[0]}, ${at[1]}`;
  });
  canvas.addEventListener("pointerleave", () => { readout.textContent = quiet; });

  controls.hidden = false;
  for (const control of [opacity, contour, jet]) control.addEventListener("input", draw);
  for (const radio of look.querySelectorAll("[name=map]")) {
    radio.addEventListener("change", () => choose(radio));
    if (radio.checked) choose(radio);
  }
}

// Dropping a file is choosing it.
const drop = document.querySelector(".drop");
if (drop) {
  const file = drop.querySelector("[type=file]");
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", () => drop.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) { file.files = event.dataTransfer.files; drop.querySelector("textarea").focus(); }
  });
}
