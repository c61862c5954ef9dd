// Painting regions: masks of the picture's size, drawn with brush, box and lasso, by mouse or by keys,
// and compared with the names as soon as a stroke ends.
import { say } from "/static/app.js";
import { element, events, fault, newCard, post, problem, warm } from "/static/found.js";

const root = document.querySelector("[data-region]");
if (root) start();

function start() {
  const width = Number(root.dataset.width), height = Number(root.dataset.height);
  const $ = (selector) => root.querySelector(selector);
  const canvas = $("canvas"), stage = $("[data-stage]"), list = $("[data-masks]"), results = $("[data-results]");
  const sizeField = $("[data-size]"), labels = $("#labels");
  const colours = ["#ff4d4d", "#3fa7ff", "#41c46b", "#ffb020", "#b06bff", "#ff66c4", "#19c8c8", "#a3c614", "#ff8552"];
  const picture = { image: $("img"), width, height };
  const masks = [];
  const undo = [];
  let active = -1, tool = "brush", hidden = false, zoom = 1, corner = null, path = [], cursor = [width / 2, height / 2], keyed = false, pending = null, heat = null, speaks = true;

  canvas.width = width;
  canvas.height = height;
  canvas.hidden = false;
  list.hidden = false;
  for (const part of [$("[data-tools]"), $("[data-export]")]) part.hidden = false;
  $("[data-boxes]")?.remove();
  sizeField.max = Math.round(Math.max(width, height) / 4);
  sizeField.value = Math.round(Math.max(width, height) / 22);
  const pen = canvas.getContext("2d");

  function addMask() {
    const sheet = new OffscreenCanvas(width, height);
    masks.push({ name: `region ${masks.length + 1}`, sheet, pen: sheet.getContext("2d", { willReadFrequently: true }), empty: true });
    active = masks.length - 1;
    showMasks();
  }

  function showMasks() {
    list.replaceChildren(...masks.map((mask, i) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      button.setAttribute("aria-pressed", String(i === active));
      button.textContent = `${i + 1}`;
      button.title = `Paint this region (${i + 1})`;
      button.style.color = colours[i % colours.length];
      button.addEventListener("click", () => { active = i; showMasks(); draw(); });
      const name = document.createElement("input");
      name.value = mask.name;
      name.setAttribute("aria-label", `Name of region ${i + 1}`);
      name.addEventListener("change", () => { mask.name = name.value || `region ${i + 1}`; ask(); });
      item.append(button, name);
      return item;
    }));
    const more = document.createElement("li");
    const add = document.createElement("button");
    add.type = "button";
    add.textContent = "New region";
    add.addEventListener("click", () => { addMask(); draw(); });
    more.append(add);
    list.append(more);
  }

  function draw() {
    pen.clearRect(0, 0, width, height);
    if (heat && !hidden) {
      pen.globalAlpha = 0.55;
      pen.drawImage(heat, 0, 0, width, height);
    }
    if (!hidden) {
      masks.forEach((mask, i) => {
        const tint = new OffscreenCanvas(width, height);
        const t = tint.getContext("2d");
        t.drawImage(mask.sheet, 0, 0);
        t.globalCompositeOperation = "source-in";
        t.fillStyle = colours[i % colours.length];
        t.fillRect(0, 0, width, height);
        pen.globalAlpha = heat ? 0.2 : i === active ? 0.55 : 0.35;
        pen.drawImage(tint, 0, 0);
      });
    }
    pen.globalAlpha = 1;
    pen.lineWidth = Math.max(1, width / 400);
    pen.strokeStyle = "#fff";
    if (corner && tool === "box") pen.strokeRect(corner[0], corner[1], cursor[0] - corner[0], cursor[1] - corner[1]);
    if (tool === "lasso" && path.length) outline(pen, [...path, cursor]).stroke();
    if (keyed) {
      pen.beginPath();
      pen.arc(cursor[0], cursor[1], sizeField.value / 2, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  function outline(on, points) {
    on.beginPath();
    points.forEach(([x, y], i) => (i ? on.lineTo(x, y) : on.moveTo(x, y)));
    return on;
  }

  function remember() {
    if (active < 0) addMask();
    const mask = masks[active];
    undo.push({ mask, pixels: mask.pen.getImageData(0, 0, width, height), empty: mask.empty });
    if (undo.length > 30) undo.shift();
    heat = null;
    return mask;
  }

  function dab(from, to) {
    const on = masks[active].pen;
    on.globalCompositeOperation = tool === "eraser" ? "destination-out" : "source-over";
    on.strokeStyle = on.fillStyle = "#fff";
    on.lineCap = on.lineJoin = "round";
    on.lineWidth = Number(sizeField.value);
    outline(on, [from, [to[0] + 0.01, to[1]]]).stroke();
    if (tool !== "eraser") masks[active].empty = false;
  }

  function fill(points) {
    const mask = remember();
    mask.pen.globalCompositeOperation = "source-over";
    mask.pen.fillStyle = "#fff";
    outline(mask.pen, points).fill();
    mask.empty = false;
    corner = null;
    path = [];
    draw();
    ask();
  }

  const box = (a, b) => [[a[0], a[1]], [b[0], a[1]], [b[0], b[1]], [a[0], b[1]]];
  const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) > Math.max(4, width / 100);

  function place(event) {
    const r = canvas.getBoundingClientRect();
    return [((event.clientX - r.left) / r.width) * width, ((event.clientY - r.top) / r.height) * height];
  }

  let down = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    keyed = false;
    cursor = down = place(event);
    if (tool === "brush" || tool === "eraser") { remember(); dab(down, down); }
    if (tool === "box" && corner) { fill(box(corner, down)); down = null; return; }
    if (tool === "box") corner = down;
    if (tool === "lasso") path.push(down);
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    const to = place(event);
    if (down && (tool === "brush" || tool === "eraser")) dab(cursor, to);
    if (down && tool === "lasso") path.push(to);
    cursor = to;
    if (down || corner || path.length) draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    const from = down, to = place(event);
    down = null;
    if (!from) return;
    if (tool === "brush" || tool === "eraser") { draw(); ask(); }
    if (tool === "box" && far(from, to)) fill(box(from, to));
    if (tool === "lasso" && path.length > 8 && far(path[0], path[Math.floor(path.length / 2)])) fill(path);
  });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15);
  }, { passive: false });

  function zoomBy(factor) {
    zoom = Math.max(1, Math.min(8, zoom * factor));
    stage.style.width = `calc(${stage.dataset.fit} * ${zoom})`;
    stage.style.maxWidth = zoom === 1 ? "" : "none";
    say(`${Math.round(zoom * 100)} %`);
  }

  function choose(name) {
    tool = name;
    corner = null;
    path = [];
    for (const b of root.querySelectorAll("[data-tool]")) b.setAttribute("aria-pressed", String(b.dataset.tool === name));
    draw();
  }
  for (const b of root.querySelectorAll("[data-tool]")) b.addEventListener("click", () => choose(b.dataset.tool));
  for (const b of root.querySelectorAll("[data-zoom]")) b.addEventListener("click", () => zoomBy(Number(b.dataset.zoom)));
  $("[data-undo]").addEventListener("click", takeBack);

  function takeBack() {
    const last = undo.pop();
    if (!last) return;
    last.mask.pen.putImageData(last.pixels, 0, 0);
    last.mask.empty = last.empty;
    heat = null;
    draw();
    ask();
  }

  canvas.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 1 : Math.max(1, sizeField.value / 2);
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) {
      cursor = [Math.min(width, Math.max(0, cursor[0] + moves[event.key][0])), Math.min(height, Math.max(0, cursor[1] + moves[event.key][1]))];
    } else if (event.key === "Enter") {
      if (tool === "box") { if (corner) fill(box(corner, cursor)); else corner = cursor; }
      else if (tool === "lasso") { if (path.length > 2) fill(path); }
      else { remember(); dab(cursor, cursor); ask(); }
    } else if (event.key === " " && tool === "lasso") {
      path.push(cursor);
    } else return;
    keyed = true;
    event.preventDefault();
    draw();
  });
  addEventListener("keydown", (event) => {
    if (event.target.closest("input:not([type=range]), textarea")) return;
    if ((event.ctrlKey || event.metaKey) && event.key === "z") { event.preventDefault(); takeBack(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const tools = { b: "brush", e: "eraser", r: "box", l: "lasso" };
    if (tools[key]) choose(tools[key]);
    else if (key === "[" || key === "]") { sizeField.value = Number(sizeField.value) * (key === "]" ? 1.2 : 0.83); draw(); }
    else if (key === "h" && !hidden) { hidden = true; draw(); }
    else if (key === "+" || key === "=") zoomBy(1.25);
    else if (key === "-") zoomBy(0.8);
    else if (key >= "1" && key <= "9" && masks[key - 1]) { active = key - 1; showMasks(); draw(); }
  });
  addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "h" && hidden) { hidden = false; draw(); } });

  async function wire(mask) {
    const flat = new OffscreenCanvas(width, height);
    const on = flat.getContext("2d");
    on.fillStyle = "#000";
    on.fillRect(0, 0, width, height);
    on.drawImage(mask.sheet, 0, 0);
    const bytes = new Uint8Array(await (await flat.convertToBlob({ type: "image/png" })).arrayBuffer());
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return { name: mask.name, png: btoa(text) };
  }

  function request() {
    const painted = masks.filter((mask) => !mask.empty);
    return Promise.all(painted.map(wire)).then((wired) => ({ image: root.dataset.image, index: root.dataset.index, masks: wired }));
  }

  // ask compares the regions with the names, says in words what they show, and on request finds pictures that show the
  // same. A newer stroke makes an older question moot.
  async function ask(similar) {
    const painted = masks.filter((mask) => !mask.empty);
    pending?.abort();
    if (!painted.length) { results.replaceChildren(hint()); return; }
    const stop = pending = new AbortController();
    const begun = performance.now();
    results.setAttribute("aria-busy", "true");
    try {
      const names = labels.value.split("\n").map((line) => line.trim()).filter(Boolean);
      const masked = await request(), body = { ...masked };
      if (names.length) body.labels = names;
      if (similar) body.similar = similar;
      const cards = painted.map((mask) => newCard(mask.name, picture, showHeat));
      const answer = await post("/api/v1/regions", body, stop.signal, "text/event-stream");
      for await (const event of events(answer.body)) {
        if (event.name === "error") throw problem(event.data);
        if (event.name === "partial") {
          if (!cards[0].element.isConnected) results.replaceChildren(...cards.map((card) => card.element));
          event.data.regions.forEach((region, i) => cards[i].step(event.data, region));
        }
        if (event.name === "result") show(event.data, cards, performance.now() - begun);
      }
      await sayInWords(masked, cards, stop.signal);
    } catch (error) {
      if (error.name !== "AbortError") results.replaceChildren(fault(error));
    } finally {
      if (pending === stop) results.removeAttribute("aria-busy");
    }
  }

  function hint() {
    return element("p", "empty small", "Paint over a part of the picture: what fits it best shows here as soon as the stroke ends.");
  }

  function show(found, cards, took) {
    found.regions.forEach((region, i) => cards[i].found(region, root.dataset.index));
    results.replaceChildren(...cards.map((card) => card.element));
    const time = element("p", "small took", `${Math.round(took)} ms`);
    time.dataset.took = Math.round(took);
    if (!found.regions[0].similar) {
      const more = element("button", "quiet", "Find pictures that show the same");
      more.type = "button";
      more.addEventListener("click", () => ask(4));
      results.append(more);
    }
    results.append(time);
    const first = found.regions[0];
    say(first.labels.length ? `${first.mask}: ${first.labels[0].text}, ${Math.round(100 * first.labels[0].score)} %` : `${first.mask} is found`);
  }

  // sayInWords adds captions, where the model has a decoder of them.
  async function sayInWords(masked, cards, signal) {
    if (!speaks) return;
    try {
      const answer = await post("/api/v1/regions/caption", { ...masked, count: 3 }, signal);
      (await answer.json()).regions.forEach((region, i) => cards[i].said(region));
      cards.at(-1).element.after(element("p", "small speaks", root.dataset.speaks));
    } catch (error) {
      if (error.code !== "no-captions") throw error;
      speaks = false;
    }
  }

  async function showHeat(url) {
    const grey = new Image();
    grey.src = url;
    await grey.decode();
    const sheet = new OffscreenCanvas(grey.width, grey.height), on = sheet.getContext("2d");
    on.drawImage(grey, 0, 0);
    const pixels = on.getImageData(0, 0, grey.width, grey.height).data;
    heat = warm(Uint8Array.from({ length: pixels.length / 4 }, (_, i) => pixels[4 * i]), grey.width, grey.height);
    draw();
    say("The map is shown over the picture");
  }

  $("[data-form]").addEventListener("submit", (event) => {
    const typed = root.querySelector("#box").value.trim();
    if (!typed && !masks.some((mask) => !mask.empty)) { event.preventDefault(); say("Paint a region first, or type a box"); return; }
    if (typed && !masks.some((mask) => !mask.empty)) return; // the server draws what it finds
    event.preventDefault();
    ask();
  });
  for (const button of root.querySelectorAll("[data-file]")) button.addEventListener("click", () => take(button));

  // take keeps the regions as a file: their masks, their vectors with names, or vectors as image generators take them.
  async function take(button) {
    const kind = button.dataset.file, said = $("[data-taken]");
    if (!masks.some((mask) => !mask.empty)) { say(said.textContent = "Paint a region first."); return; }
    button.disabled = true;
    said.textContent = "";
    try {
      let content;
      if (kind === "masks") content = new Blob([JSON.stringify({ masks: (await request()).masks })]);
      else if (kind === "json") content = await (await post("/api/v1/regions", { ...await request(), vectors: true })).blob();
      else content = await (await post("/api/v1/regions/export", { ...await request(), file: kind, form: kind === "npy" ? "plain" : $("[data-generators]").value })).blob();
      const link = document.createElement("a"), name = kind === "masks" ? "masks.json" : `regions.${kind}`;
      link.href = URL.createObjectURL(content);
      link.download = name;
      link.click();
      URL.revokeObjectURL(link.href);
      say(said.textContent = `${name}, ${(content.size / 1000).toFixed(1)} kB, is among the downloads.`);
    } catch (error) {
      say(said.textContent = error.message);
    } finally {
      button.disabled = false;
    }
  }

  if (!results.children.length) results.append(hint());
  addMask();
  draw();
}
