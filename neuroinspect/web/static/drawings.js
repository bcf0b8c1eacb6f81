// Pictures of one neuron on request: asks for them, shows how far they are, and the pictures themselves.

import { send } from "./api.js";
import { element } from "./element.js";

const OPEN = "ni.drawings";
const FIRST = 800;
const SLOWEST = 4000;
const place = document.querySelector("[data-drawings]");
const base = `/api/reviews/${encodeURIComponent(document.body.dataset.review ?? "")}/drawings`;
const neuron = Number(place?.dataset.neuron);

function picture(found) {
  const shown = element("img");
  shown.src = found.picture;
  shown.width = 256;
  shown.height = 256;
  shown.alt =
    found.kind === "fv"
      ? `Picture synthesised for neuron ${found.neuron} alone`
      : `Picture synthesised for neuron ${found.neuron} inside the class ${found.class_name}`;
  return shown;
}

/** A button that dims all but the neuron's own pixels; null where that was not drawn. */
function ownPixels(found, shown) {
  if (!found.mask) return null;
  const toggle = element("button", "mask-toggle", "Own pixels");
  toggle.type = "button";
  toggle.setAttribute("aria-label", `Own pixels, ${found.kind === "fv" ? "alone" : found.class_name}`);
  toggle.setAttribute("aria-pressed", "false");
  toggle.addEventListener("click", () => {
    const on = toggle.getAttribute("aria-pressed") !== "true";
    toggle.setAttribute("aria-pressed", String(on));
    shown.src = on ? found.mask : found.picture;
  });
  return toggle;
}

function underWay(found) {
  const box = element("div", "undrawn small soft");
  const words = element("div");
  if (found.state === "waiting") {
    const ahead = found.ahead === 1 ? "1 drawing" : `${found.ahead} drawings`;
    words.append(element("p", "", found.ahead ? `Waits for ${ahead}` : "Waits"));
  } else {
    const seconds = Math.round(found.seconds ?? 0);
    words.append(element("p", "", found.usual ? `Drawing: ${seconds} of about ${Math.round(found.usual)} s` : `Drawing: ${seconds} s`));
    const bar = element("progress");
    bar.setAttribute("aria-label", "Drawing");
    if (found.usual) {
      bar.max = found.usual;
      bar.value = Math.min(found.seconds ?? 0, found.usual * 0.97);
    }
    words.append(bar);
  }
  box.append(words);
  return box;
}

function toAsk(found, tile) {
  const box = element("div", "undrawn small soft");
  const words = element("div");
  if (found.problem) words.append(element("p", "", found.problem));
  if ("lookOnly" in place.dataset) {
    words.append(element("p", "", "Not drawn"));
  } else {
    const button = element("button", "", found.state === "failed" ? "Try again" : "Draw it");
    button.type = "button";
    button.addEventListener("click", () => ask(found, tile));
    words.append(button);
  }
  box.append(words);
  return box;
}

function show(found, tile) {
  const figure = element("figure", "photo");
  const busy = found.state === "waiting" || found.state === "drawing";
  const shown = found.picture ? picture(found) : busy ? underWay(found) : toAsk(found, tile);
  figure.append(shown);
  const toggle = found.picture ? ownPixels(found, shown) : null;
  if (toggle) figure.append(toggle);
  const caption = element("figcaption");
  const name = element("bdi", "clip", found.kind === "fv" ? "alone" : found.class_name);
  name.title = name.textContent;
  caption.append(name);
  if (found.reached === false) caption.append(element("span", "soft", "fires less than on real photos"));
  figure.append(caption);
  tile.replaceChildren(figure);
  if (busy) follow(found, tile);
}

function follow(found, tile) {
  const delay = Math.min(FIRST * 1.15 ** (tile.looks ?? 0), SLOWEST);
  tile.looks = (tile.looks ?? 0) + 1;
  window.setTimeout(async () => {
    if (document.hidden) {
      document.addEventListener("visibilitychange", () => follow(found, tile), { once: true });
      return;
    }
    try {
      const now = await send("GET", `${base}/${found.job}`);
      show(now, tile);
    } catch (problem) {
      show({ ...found, state: "failed", problem: problem.message }, tile);
    }
  }, delay);
}

async function ask(found, tile) {
  tile.looks = 0;
  const wish = { neuron: found.neuron, kind: found.kind, class_name: found.class_name };
  try {
    show(await send("POST", base, wish), tile);
  } catch (problem) {
    show({ ...found, state: "failed", problem: problem.message }, tile);
  }
}

let loaded = false;

async function load() {
  if (loaded) return;
  loaded = true;
  const state = place.querySelector("[data-drawings-state]");
  const list = place.querySelector("[data-drawings-list]");
  state.textContent = "Looking which classes it speaks for …";
  try {
    const { drawings } = await send("GET", `${base}?neuron=${neuron}`);
    state.textContent = "";
    const own = place.dataset.needs;
    if (own !== undefined) drawings.unshift({ neuron, kind: "class", class_name: own, state: "absent", problem: "" });
    for (const found of drawings) {
      if (found.kind === "fv" && "hasAlone" in place.dataset) continue;
      const tile = element("li");
      list.append(tile);
      show(found, tile);
    }
  } catch (problem) {
    loaded = false;
    state.textContent = problem.message;
  }
}

function keepOpen(open) {
  try {
    localStorage.setItem(OPEN, open ? "on" : "off");
  } catch {
    // Without a store it is closed on the next page; nothing is lost.
  }
}

function wasOpen() {
  try {
    return localStorage.getItem(OPEN) === "on";
  } catch {
    return false;
  }
}

if (place) {
  place.addEventListener("toggle", () => {
    if (place.dataset.needs === undefined) keepOpen(place.open);
    if (place.open) load();
  });
  if (wasOpen()) place.open = true;
  if (place.open) load();
}
