// What all pages share: forms that load their results in place, keys, copying, announcements.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

export function say(text) {
  const live = $("#live");
  live.textContent = "";
  requestAnimationFrame(() => { live.textContent = text; });
}

// Results are taken out of the page that the server would show, so that there is one way to draw them.
let loading = null;

async function swap(url, push) {
  loading?.abort();
  const stop = loading = new AbortController();
  const results = $("[data-results]");
  results.classList.add("busy");
  results.setAttribute("aria-busy", "true");
  const slow = setTimeout(() => {
    const p = document.createElement("p");
    p.className = "waiting";
    p.textContent = "Reading what was found…";
    results.classList.remove("busy");
    results.replaceChildren(p);
    say("Reading what was found");
  }, 900);
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: stop.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = $("[data-results]", page);
    if (!fresh) { location.assign(url); return; }
    results.replaceChildren(...fresh.childNodes);
    document.title = page.title;
    if (push) history.pushState({ swapped: true }, "", url);
    enliven(results);
  } catch (error) {
    if (error.name === "AbortError") return;
    const p = document.createElement("p");
    p.className = "warn";
    p.setAttribute("role", "alert");
    p.textContent = "The server does not answer. Is evident still running?";
    results.replaceChildren(p);
  } finally {
    clearTimeout(slow);
    if (loading === stop) {
      results.classList.remove("busy");
      results.removeAttribute("aria-busy");
    }
  }
}

for (const form of $$("form[data-swap]")) {
  if (!$("[data-results]")) continue;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = new URLSearchParams(new FormData(form));
    if (query.get("engine") === "auto") query.delete("engine"); // what is asked for anyway
    swap(`${form.action}?${query}`, true);
  });
}
addEventListener("popstate", () => {
  const form = $("form[data-swap]");
  if (!form || !$("[data-results]")) return;
  const query = new URLSearchParams(location.search);
  for (const field of form.elements) {
    if (field.type === "radio") field.checked = (query.get(field.name) ?? form.elements[field.name][0].value) === field.value;
    else if (field.name && field.type !== "hidden") field.value = query.get(field.name) ?? "";
  }
  swap(location.href, false);
});

for (const form of $$("form[data-busy]")) {
  form.addEventListener("submit", () => {
    for (const button of $$("button", form)) { button.disabled = true; button.textContent = form.dataset.busy; }
    say(form.dataset.busy);
  });
}
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// enliven adds what needs JavaScript to new content.
function enliven(root) {
  for (const button of $$("[data-copy], [data-copy-text]", root)) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  const news = $("[data-announce]", root);
  if (news && root !== document) say(news.dataset.announce);
}

async function copy(button) {
  const text = button.dataset.copyText ?? button.closest("[data-citation]").dataset.citation;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    say("Copied: " + text);
  } catch {
    say("This browser does not allow copying here.");
    button.textContent = "Not allowed here";
  }
  setTimeout(() => { button.textContent = "Copy citation"; }, 2000);
}
enliven(document);

// A picture is as large as its place, small ones too: they are looked at, and painted on.
for (const figure of $$("[data-stage]")) {
  const image = $("img", figure), width = image.getAttribute("width"), height = image.getAttribute("height");
  figure.dataset.fit = `min(100%, ${(74 * width) / height}vh, ${Math.max(width, 720)}px)`;
  figure.style.width = figure.dataset.fit;
  figure.classList.add("fitted");
}

// A picture that a busy server turned away is asked for again.
function again(image) {
  const tries = Number(image.dataset.tries ?? 0);
  if (tries === 3) return;
  image.dataset.tries = tries + 1;
  setTimeout(() => { image.src = image.getAttribute("src"); }, 2000);
}
document.addEventListener("error", ({ target }) => { if (target.tagName === "IMG") again(target); }, true);
for (const image of $$("img[src]")) if (image.complete && !image.naturalWidth) again(image);

// Keys.
const keys = $("#keys");
const opener = $("#keys-open");
opener.hidden = false;
opener.addEventListener("click", () => keys.showModal());

let at = -1;
function move(step) {
  const items = $$("[data-item]");
  if (!items.length) return;
  items[at]?.classList.remove("at");
  at = Math.max(0, Math.min(items.length - 1, at + step));
  items[at].classList.add("at");
  ($("[data-open]", items[at]) ?? items[at]).focus({ preventScroll: true });
  items[at].scrollIntoView({ block: "nearest" });
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  if (event.target.closest("input:not([type=radio], [type=checkbox], [type=range]), textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const items = $$("[data-item]");
  const item = event.target.closest("[data-item]") ?? items[Math.max(at, 0)];
  const act = {
    "/": () => { const field = $("[data-focus]"); field?.focus(); field?.select?.(); },
    "?": () => keys.showModal(),
    j: () => move(1), k: () => move(-1),
    w: () => { const why = item && $("details", item); if (why) why.open = !why.open; },
    c: () => { const button = (item && $("[data-copy]", item)) ?? $("[data-copy-text]"); if (button) copy(button); },
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});

if (document.body.dataset.view === "look") import("/static/look.js");
if (document.body.dataset.view === "region") import("/static/region.js");
if (document.body.dataset.view === "jobs") import("/static/jobs.js");
if (document.body.dataset.view === "read") $("mark.here, rect[data-box]")?.scrollIntoView({ block: "center" });
