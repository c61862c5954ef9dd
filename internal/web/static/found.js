// What was found out about regions of a picture: a card for each, with the map of its vector, bars for the names, and
// what it shows in words.
export function element(kind, className, text) {
  const e = document.createElement(kind);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

export function problem(p) {
  return Object.assign(new Error(`${p.detail}. ${p.hint ?? ""}`), { code: p.code });
}

export function fault(error) {
  const p = element("p", "warn", error instanceof TypeError ? "The server does not answer. Is evident still running?" : error.message);
  p.setAttribute("role", "alert");
  return p;
}

// post sends a request, again where the server is busy, and returns the answer; a problem is thrown.
export async function post(path, body, signal, accept = "application/json") {
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(path, {
      method: "POST", signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json", Accept: accept },
    });
    if (answer.ok) return answer;
    const wait = Number(answer.headers.get("Retry-After"));
    if (answer.status !== 503 || !wait || attempt === 4) throw problem(await answer.json());
    await new Promise((resolve) => setTimeout(resolve, 1000 * wait));
    signal?.throwIfAborted();
  }
}

// events reads an answer that comes as events.
export async function* events(body) {
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

// warm paints a map of bytes, the more the brighter.
export function warm(bytes, columns, rows) {
  const sheet = new OffscreenCanvas(columns, rows), on = sheet.getContext("2d"), pixels = on.createImageData(columns, rows);
  for (let i = 0; i < bytes.length; i++) {
    const v = bytes.charCodeAt ? bytes.charCodeAt(i) : bytes[i];
    pixels.data.set([255, Math.min(255, 40 + v * 0.8), 40, Math.min(255, v * 1.6)], 4 * i);
  }
  on.putImageData(pixels, 0, 0);
  return sheet;
}

// newCard shows a region of a picture: beside its bars the map of its vector, which moves while the vector is found and
// can be gone through afterwards. showHeat shows a map over the picture.
export function newCard(name, { image, width, height }, showHeat) {
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
    on.drawImage(image, 0, 0, sheet.width, sheet.height);
    on.globalAlpha = 1;
    on.drawImage(warm(atob(region.map), region.columns, region.rows), 0, 0, sheet.width, sheet.height);
    const words = `step ${step} of ${of}, fits ${region.dice.toFixed(2)}`;
    caption.textContent = words;
    sheet.setAttribute("aria-label", `Where the vector of ${name} is seen: ${words}`);
  }

  function mapButton(heat) {
    const button = element("button", "quiet", "Show the map");
    button.type = "button";
    button.addEventListener("click", () => showHeat(heat));
    return button;
  }

  // Steps come faster than a screen shows them: the newest is drawn, once a frame.
  let drawing = 0;
  function drawNewest() {
    drawing ||= requestAnimationFrame(() => { drawing = 0; drawStep(steps.length - 1); });
  }

  return {
    element: card,
    step(at, region) {
      steps.push({ step: at.step, of: at.steps, region });
      if (!matchMedia("(prefers-reduced-motion: reduce)").matches || at.step === at.steps) drawNewest();
    },
    found(region, index) {
      bars.append(...region.labels.map(bar));
      const fit = element("p", "small", `Its vector’s own map fits the region by ${region.dice.toFixed(2)}. `);
      fit.append(mapButton(region.heat));
      bars.append(fit);
      if (region.similar?.length) bars.append(element("h3", "between", "Pictures that show the same"), tiles(region.similar, index));
      cancelAnimationFrame(drawing);
      if (!steps.length) { live.remove(); return; }
      drawStep(steps.length - 1);
      slider.max = slider.value = steps.length;
      live.append(slider);
    },
    said(region) {
      const words = element("div", "words"), [best, ...others] = region.captions;
      const support = element("p", "small", `seen ${Math.round(100 * best.score)} %, its own map fits by ${best.dice.toFixed(2)}. `);
      support.append(mapButton(region.heat));
      words.append(element("h3", "", "In words"), element("p", "caption", best.text), support);
      if (others.length) words.append(element("p", "small", `or: ${others.map((c) => c.text).join(" · ")}`));
      card.append(words);
    },
  };
}

function bar(label) {
  const bar = element("div", "bar"), value = element("progress");
  value.max = 1;
  value.value = label.score;
  value.setAttribute("aria-label", label.text);
  const similarity = element("span", "num small", label.similarity.toFixed(3));
  similarity.title = "similarity";
  bar.append(element("span", "", label.text), value, element("span", "num", `${Math.round(100 * label.score)} %`), similarity);
  return bar;
}

function tiles(hits, index) {
  const list = element("ul", "tiles"), of = encodeURIComponent(index);
  for (const { hit } of hits) {
    const item = element("li", "tile"), link = element("a"), image = element("img");
    link.href = `/look?image=${hit.id}&index=${of}`;
    image.src = `/api/v1/indexes/${of}/documents/${hit.id}/image?side=360`;
    image.width = hit.image.width;
    image.height = hit.image.height;
    image.alt = hit.path.split(/[\\/]/).pop();
    link.append(image);
    item.append(link);
    list.append(item);
  }
  return list;
}
