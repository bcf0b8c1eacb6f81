// The grid: one card is current, keys act on it.

import { advances } from "./advance.js";
import { toggleMark } from "./compare.js";
import { onKeys } from "./keys.js";
import { entryOf, judge, openNote, undo, watch } from "./verdicts.js";

const cards = [...document.querySelectorAll(".card[data-neuron]")];
let current = null;

function mark(card) {
  if (card === current) return;
  current?.classList.remove("current");
  current = card;
  current?.classList.add("current");
}

function goTo(card) {
  if (!card) return;
  mark(card);
  card.querySelector("[data-open]").focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

const here = () => current ?? cards[0] ?? null;

function step(by) {
  if (!current) return goTo(cards[0]);
  const next = cards[cards.indexOf(current) + by];
  if (next) return goTo(next);
  document.querySelector(by > 0 ? '.pager a[rel="next"]' : '.pager a[rel="prev"]')?.focus();
}

async function judged(entry, verdict) {
  mark(entry.element);
  const kept = judge(entry, verdict);
  if (verdict && advances()) step(1);
  await kept;
}

function toggleMask(card) {
  const button = card?.querySelector("[data-mask]");
  if (!button) return;
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(on));
  card.querySelector(".plain").hidden = on;
  card.querySelector(".masked").hidden = !on;
}

watch(cards, judged);
for (const card of cards) {
  card.addEventListener("focusin", () => mark(card));
  card.addEventListener("pointerdown", () => mark(card));
  const mask = card.querySelector("[data-mask]");
  if (mask) {
    mask.hidden = false;
    mask.addEventListener("click", () => toggleMask(card));
  }
}

const say = (verdict) => () => {
  const card = here();
  if (card) judged(entryOf(card), verdict);
};
onKeys(["1", "s"], say("spurious"));
onKeys(["2", "c"], say("core"));
onKeys(["3", "u"], say("unclear"));
onKeys(["0"], say(null));
onKeys(["z"], undo);
onKeys(["j", "ArrowRight"], () => step(1));
onKeys(["k", "ArrowLeft"], () => step(-1));
onKeys(["Enter"], () => here()?.querySelector("[data-open]").click());
onKeys(["n"], () => openNote(entryOf(here())));
onKeys(["m"], () => toggleMask(here()));
onKeys(["x"], () => here() && toggleMark(Number(here().dataset.neuron)));
onKeys(["g"], () => goTo(here()));
onKeys(["/"], () => {
  const field = document.querySelector('#filter input[type="search"]');
  field?.focus();
  field?.select();
});

const named = window.location.hash.match(/^#neuron-(\d+)$/);
if (named) goTo(cards.find((card) => card.dataset.neuron === named[1]));
