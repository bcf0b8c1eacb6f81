// Looks again while the edit is on its way: every two seconds, less often the longer nothing changes, not at all when hidden.

import { send } from "./api.js";

const FIRST = 2000;
const SLOWEST = 30000;
let shown = document.getElementById("outcome");
let delay = FIRST;
let known = null;
let timer = 0;

const stamp = (found) => JSON.stringify([found.state, found.problem, found.attempts, found.stages, found.verdict]);

/** Put the page's newest outcome in the place of the one that is shown. */
async function replaceShown(title) {
  const answer = await fetch(shown.dataset.page, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = fresh.getElementById("outcome");
  if (!next) return;
  document.title = fresh.title;
  shown.replaceWith(next);
  shown = next;
  document.getElementById("outcome-news").textContent = title;
}

async function look() {
  timer = 0;
  if (document.hidden) return;
  try {
    const found = await send("GET", shown.dataset.url);
    const now = stamp(found);
    if (known !== null && now !== known) {
      await replaceShown(`${found.title}. ${found.verdict || found.sentence}`);
      delay = FIRST;
    } else {
      delay = Math.min(delay * 1.25, SLOWEST);
    }
    known = now;
    if (!found.changing) return;
  } catch {
    delay = Math.min(delay * 2, SLOWEST);
  }
  plan();
}

function plan() {
  if (timer === 0) timer = window.setTimeout(look, delay);
}

if (shown && "changing" in shown.dataset) {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && "changing" in shown.dataset) {
      delay = FIRST;
      plan();
    }
  });
  look();
}
