// One neuron in full: keys judge it, J and K walk the list.

import { advances } from "./advance.js";
import { toggleMark } from "./compare.js";
import { onKeys } from "./keys.js";
import { showSaving, toast } from "./status.js";
import { entryOf, judge, openNote, settled, undo, watch } from "./verdicts.js";

const article = document.querySelector(".focus[data-neuron]");
const neuron = Number(article.dataset.neuron);

async function follow(link) {
  if (!link) return false;
  await settled();
  window.location.assign(link.href);
  return true;
}

const go = (name) => () => follow(document.querySelector(`a[data-${name}]`));

async function judged(entry, verdict) {
  const kept = await judge(entry, verdict);
  if (!kept || !verdict || !advances()) return;
  if (await follow(document.querySelector("a[data-after]"))) return;
  const waiting = article.dataset.waiting;
  if (waiting) toast("That was the last of this list.", { link: { href: waiting, text: "Next without a verdict" } });
  else showSaving("saved", "Every neuron of this list is judged.");
}

function show(name) {
  const picture = article.querySelector(`.frame .${name}`);
  if (!picture) return;
  for (const other of article.querySelectorAll(".frame > *")) other.hidden = other !== picture;
  for (const button of article.querySelectorAll("[data-view]")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === name));
  }
}

watch([article], judged);
const entry = entryOf(article);
const views = article.querySelector(".views");
if (views) {
  views.hidden = false;
  for (const button of views.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => show(button.dataset.view));
  }
}

onKeys(["1", "s"], () => void judged(entry, "spurious"));
onKeys(["2", "c"], () => void judged(entry, "core"));
onKeys(["3", "u"], () => void judged(entry, "unclear"));
onKeys(["0"], () => void judged(entry, null));
onKeys(["z"], () => void undo());
onKeys(["j", "ArrowRight", "Enter"], () => void go("after")());
onKeys(["k", "ArrowLeft"], () => void go("before")());
onKeys(["g", "/"], () => void go("grid")());
onKeys(["n"], () => openNote(entry));
onKeys(["m"], () => show(article.querySelector(".frame .masked")?.hidden ? "masked" : "plain"));
onKeys(["x"], () => toggleMark(neuron));

// A family that takes long is found when it is asked for, without leaving the page.
const family = document.querySelector("a[data-family]");
family?.addEventListener("click", async (event) => {
  event.preventDefault();
  family.textContent = "Looking …";
  family.setAttribute("aria-disabled", "true");
  try {
    const answer = await fetch(family.href, { credentials: "same-origin" });
    const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("family");
    if (!answer.ok || !found) throw new Error(`The server answered ${answer.status}.`);
    document.getElementById("family").replaceWith(document.adoptNode(found));
  } catch (problem) {
    family.textContent = "Find its family";
    family.removeAttribute("aria-disabled");
    toast(`The family could not be found. ${problem.message}`, { tone: "bad" });
  }
});
