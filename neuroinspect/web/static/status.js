// One line that says whether the last change is kept, and notes that stay until they are read.

import { element } from "./element.js";

const line = () => document.getElementById("saving");
let fade = 0;

/** @param {"saving"|"saved"|"failed"|""} state */
export function showSaving(state, text) {
  const shown = line();
  if (!shown) return;
  window.clearTimeout(fade);
  shown.dataset.state = state;
  shown.textContent = text;
  if (state === "saved") fade = window.setTimeout(() => showSaving("", ""), 6000);
}

/** A note in the corner; link is optional, {href, text}. */
export function toast(text, { tone = "plain", link = null, seconds = 8 } = {}) {
  const place = document.getElementById("toasts");
  if (!place) return;
  const note = element("div", `toast ${tone}`);
  note.append(element("p", "", text));
  if (link) {
    const anchor = element("a", "", link.text);
    anchor.href = link.href;
    note.append(anchor);
  }
  const close = element("button", "quiet", "Dismiss");
  close.type = "button";
  close.addEventListener("click", () => note.remove());
  note.append(close);
  place.append(note);
  while (place.children.length > 4) place.firstElementChild.remove();
  if (tone !== "bad") window.setTimeout(() => note.remove(), seconds * 1000);
}
