// Neurons marked for comparison, kept in this browser for each review.

import { showSaving } from "./status.js";

const MOST = 8;
const review = document.body.dataset.review;
const place = `ni.compare.${review}`;

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(place) ?? "[]");
    return Array.isArray(kept) ? kept.filter(Number.isInteger).slice(0, MOST) : [];
  } catch {
    return [];
  }
}

function write(neurons) {
  try {
    localStorage.setItem(place, JSON.stringify(neurons));
  } catch {
    showSaving("failed", "This browser keeps nothing, so marks are lost with the page.");
  }
}

let marked = read();

function show() {
  for (const box of document.querySelectorAll("input[data-compare]")) {
    box.checked = marked.includes(Number(box.value));
    box.closest("label").hidden = false;
  }
  for (const link of document.querySelectorAll("[data-compare-link]")) {
    link.hidden = marked.length === 0;
    link.href = `/reviews/${encodeURIComponent(review)}/compare?neurons=${marked.join(",")}`;
  }
  for (const count of document.querySelectorAll("[data-compare-count]")) count.textContent = marked.length;
}

/** Mark a neuron, or take the mark away. */
export function toggleMark(neuron) {
  const had = marked.includes(neuron);
  if (!had && marked.length >= MOST) {
    showSaving("failed", `At most ${MOST} neurons stand side by side.`);
  } else {
    marked = had ? marked.filter((other) => other !== neuron) : [...marked, neuron];
    write(marked);
    showSaving("saved", had ? `Neuron ${neuron} is no longer marked` : `Neuron ${neuron} is marked to compare (${marked.length})`);
  }
  show();
}

for (const box of document.querySelectorAll("input[data-compare]")) {
  box.addEventListener("change", () => toggleMark(Number(box.value)));
}
window.addEventListener("storage", (event) => {
  if (event.key !== place) return;
  marked = read();
  show();
});
show();
