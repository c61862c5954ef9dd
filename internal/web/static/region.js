// Painting regions: masks of the picture's size, drawn with brush, box and lasso, by mouse or by keys,
// and compared with the names as soon as a stroke ends.
import { say } from "/static/app.js";

const root = document.querySelector("[data-region]");
if (root) start();

function start() {
  const width = Number(root.dataset.width), height = Number(root.dataset.height);
  const $ = (selector) => root.querySelector(selector);
  const canvas = $("canvas"), stage = $("[data-stage]"), list = $("[data-masks]"), results = $("[data-results]");
  const sizeField = $("[data-size]"), labels = $("#labels");
  const colours = ["#ff4d4d", "#3fa7ff", "#41c46b", "#ffb020", "#b06bff", "#ff66c4", "#19c8c8", "#a3c614", "#ff8552"];
  const masks = [];
  const undo = [];
  let active = -1, tool = "brush", hidden = false, zoom = 1, corner = null, path = [], cursor = [width / 2, height / 2], keyed = false, pending = null, heat = null;

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
    const image = $("img");
    zoom = Math.max(1, Math.min(8, zoom * factor));
    stage.style.width = zoom === 1 ? "" : `${zoom * 100}%`;
    stage.style.maxWidth = zoom === 1 ? "" : "none";
    image.style.width = zoom === 1 ? "" : "100%";
    image.style.maxHeight = zoom === 1 ? "" : "none";
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

  // ask compares the regions with the names, and on request finds pictures that show the same. A newer stroke makes an
  // older question moot.
  async function ask(similar) {
    const painted = masks.filter((mask) => !mask.empty);
    pending?.abort();
    if (!painted.length) { results.replaceChildren(); return; }
    const stop = pending = new AbortController();
    const begun = performance.now();
    results.setAttribute("aria-busy", "true");
    try {
      const names = labels.value.split("\n").map((line) => line.trim()).filter(Boolean);
      const body = { image: root.dataset.image, index: root.dataset.index, masks: await Promise.all(painted.map(wire)) };
      if (names.length) body.labels = names;
      if (similar) body.similar = similar;
      const answer = await fetch("/api/v1/regions", {
        method: "POST", signal: stop.signal, body: JSON.stringify(body),
        headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
      });
      if (!answer.ok) throw problem(await answer.json());
      const cards = painted.map((mask) => newCard(mask.name));
      for await (const event of events(answer.body)) {
        if (event.name === "error") throw problem(event.data);
        if (event.name === "partial") {
          if (!cards[0].element.isConnected) results.replaceChildren(...cards.map((card) => card.element));
          event.data.regions.forEach((region, i) => cards[i].step(event.data, region));
        }
        if (event.name === "result") show(event.data, cards, performance.now() - begun);
      }
    } catch (error) {
      if (error.name !== "AbortError") results.replaceChildren(element("p", "warn", error.message));
    } finally {
      if (pending === stop) results.removeAttribute("aria-busy");
    }
  }

  const problem = (p) => new Error(`${p.detail}. ${p.hint ?? ""}`);

  // events reads an answer that comes as events.
  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      for (let end; (end = rest.indexOf("\n\n")) >= 0; rest = rest.slice(end + 2)) {
        const name = /^event: (.*)$/m.exec(rest.slice(0, end)), data = /^data: (.*)$/m.exec(rest.slice(0, end));
        if (name && data) yield { name: name[1], data: JSON.parse(data[1]) };
      }
    }
  }

  function element(kind, className, text) {
    const e = document.createElement(kind);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  }

  // newCard shows a region: beside its bars the map of its vector, which moves while the vector is found and can be
  // gone through afterwards.
  function newCard(name) {
    const card = element("section", "card found"), live = element("figure", "live"), sheet = element("canvas");
    const caption = element("figcaption", "small num"), slider = element("input"), bars = element("div", "bars");
    const scale = Math.min(1, 360 / Math.max(width, height)), steps = [];
    sheet.width = Math.round(width * scale);
    sheet.height = Math.round(height * scale);
    sheet.setAttribute("role", "img");
    slider.type = "range";
    slider.min = 1;
    slider.setAttribute("aria-label", `Step of finding the vector of ${name}`);
    slider.addEventListener("input", () => drawStep(slider.value - 1));
    live.append(sheet, caption);
    card.append(element("h2", "", name), live, bars);

    function drawStep(i) {
      const { step, of, region } = steps[i], on = sheet.getContext("2d");
      on.globalAlpha = 1;
      on.fillStyle = "#000";
      on.fillRect(0, 0, sheet.width, sheet.height);
      on.globalAlpha = 0.55;
      on.drawImage($("img"), 0, 0, sheet.width, sheet.height);
      on.globalAlpha = 1;
      on.drawImage(warm(atob(region.map), region.columns, region.rows), 0, 0, sheet.width, sheet.height);
      const words = `step ${step} of ${of}, fits ${region.dice.toFixed(2)}`;
      caption.textContent = words;
      sheet.setAttribute("aria-label", `Where the vector of ${name} is seen: ${words}`);
    }

    return {
      element: card, bars,
      step(at, region) {
        steps.push({ step: at.step, of: at.steps, region });
        if (!matchMedia("(prefers-reduced-motion: reduce)").matches || at.step === at.steps) drawStep(steps.length - 1);
      },
      end() {
        if (!steps.length) { live.remove(); return; }
        drawStep(steps.length - 1);
        slider.max = slider.value = steps.length;
        live.append(slider);
      },
    };
  }

  // warm paints a map of bytes, the more the brighter.
  function warm(bytes, columns, rows) {
    const sheet = new OffscreenCanvas(columns, rows), on = sheet.getContext("2d"), pixels = on.createImageData(columns, rows);
    for (let i = 0; i < bytes.length; i++) {
      const v = bytes.charCodeAt ? bytes.charCodeAt(i) : bytes[i];
      pixels.data.set([255, Math.min(255, 40 + v * 0.8), 40, Math.min(255, v * 1.6)], 4 * i);
    }
    on.putImageData(pixels, 0, 0);
    return sheet;
  }

  function show(found, cards, took) {
    found.regions.forEach((region, i) => {
      const { bars } = cards[i];
      for (const label of region.labels) {
        const bar = element("div", "bar"), value = element("progress"), score = `${Math.round(100 * label.score)} %`;
        value.max = 1;
        value.value = label.score;
        value.setAttribute("aria-label", label.text);
        const similarity = element("span", "num small", label.similarity.toFixed(3));
        similarity.title = "similarity";
        bar.append(element("span", "", label.text), value, element("span", "num", score), similarity);
        bars.append(bar);
      }
      const fit = element("p", "small", `Its vector’s own map fits the region by ${region.dice.toFixed(2)}. `);
      const button = element("button", "quiet", "Show the map");
      button.type = "button";
      button.addEventListener("click", () => showHeat(region.heat));
      fit.append(button);
      bars.append(fit);
      if (region.similar?.length) bars.append(element("h3", "between", "Pictures that show the same"), tiles(region.similar));
      cards[i].end();
    });
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

  function tiles(hits) {
    const list = element("ul", "tiles");
    for (const { hit } of hits) {
      const item = element("li", "tile"), link = element("a"), image = element("img");
      const index = encodeURIComponent(root.dataset.index);
      link.href = `/look?image=${hit.id}&index=${index}`;
      image.src = `/api/v1/indexes/${index}/documents/${hit.id}/image?side=360`;
      image.width = hit.image.width;
      image.height = hit.image.height;
      image.alt = hit.path.split(/[\\/]/).pop();
      link.append(image);
      item.append(link);
      list.append(item);
    }
    return list;
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
  $("[data-save]").addEventListener("click", async () => {
    const content = JSON.stringify({ masks: await Promise.all(masks.filter((mask) => !mask.empty).map(wire)) });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: "application/json" }));
    link.download = "regions.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  addMask();
  draw();
}
