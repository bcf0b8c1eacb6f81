// Verdicts and notes: shown at once, kept by the server one after the other, put back where it refuses.

import { send } from "./api.js";
import { showSaving, toast } from "./status.js";

const NOTE_PAUSE = 700;
const FIRST_RETRY = 1000;
const SLOWEST_RETRY = 30000;
const review = document.body.dataset.review;
export const locked = "locked" in document.body.dataset;
const base = `/api/reviews/${encodeURIComponent(review)}`;
const entries = new Map();

/** The neurons on this page: element, what the server keeps, and what is wanted. */
class Entry {
  constructor(element) {
    this.element = element;
    this.neuron = Number(element.dataset.neuron);
    this.buttons = [...element.querySelectorAll("button[data-verdict]")];
    this.box = element.querySelector("[data-note]");
    this.field = this.box?.querySelector("textarea") ?? null;
    this.said = element.querySelector("[data-said]");
    this.kept = { verdict: element.dataset.verdict || null, note: this.field?.value ?? "" };
    this.wanted = { ...this.kept };
    this.queued = null;
    this.running = null;
    this.timer = 0;
    this.retry = 0;
  }

  get isSettled() {
    return this.running === null && this.wanted.verdict === this.kept.verdict && this.wanted.note === this.kept.note;
  }

  show() {
    this.element.dataset.verdict = this.wanted.verdict ?? "";
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.verdict === this.wanted.verdict));
    }
  }

  /** What the server says stands; a note that is being written is left alone. */
  settle(judgement) {
    const writing = this.wanted.note !== this.kept.note;
    this.kept = { verdict: judgement?.verdict ?? null, note: judgement?.note ?? "" };
    this.wanted = { verdict: this.kept.verdict, note: writing ? this.wanted.note : this.kept.note };
    if (this.field && !writing && this.field.value !== this.kept.note) this.field.value = this.kept.note;
    if (this.box && this.kept.note) this.box.hidden = false;
    if (this.said) this.said.textContent = attribution(judgement);
    delete this.element.dataset.saving;
    this.show();
  }
}

function attribution(judgement) {
  if (!judgement || (judgement.verdict === null && judgement.note === "")) return "";
  return `${judgement.verdict ? "judged" : "noted"} by ${judgement.by} · just now`;
}

export const entryOf = (element) => entries.get(Number(element?.dataset?.neuron));

/** Set a verdict ("spurious", "core", "unclear", or null for none); resolves to whether it is kept. */
export function judge(entry, verdict) {
  if (locked) {
    showSaving("failed", "This page is for looking only.");
    return Promise.resolve(false);
  }
  entry.wanted.verdict = verdict;
  entry.show();
  return save(entry);
}

// What was said is kept in the order in which it was said, whatever the neuron: undo takes back the last.
let queue = Promise.resolve();
const isSame = (one, other) => one.verdict === other.verdict && one.note === other.note;

/** Keep what is wanted of a neuron, after all that was said before; resolves to whether it is kept. */
export function save(entry) {
  window.clearTimeout(entry.timer);
  const said = { ...entry.wanted };
  if (isSame(said, entry.queued ?? entry.kept)) return entry.running ?? Promise.resolve(true);
  showSaving("saving", "Saving …");
  entry.element.dataset.saving = "saving";
  entry.queued = said;
  queue = queue.then(() => keep(entry, said));
  entry.running = queue;
  return queue;
}

async function keep(entry, said) {
  const isNewest = () => entry.queued === said;
  try {
    const answer = await send("PUT", `${base}/verdicts/${entry.neuron}`, said);
    entry.kept = said;
    entry.retry = 0;
    if (entry.said) entry.said.textContent = attribution(answer.judgement);
    showProgress(answer.progress);
    if (isNewest()) {
      delete entry.element.dataset.saving;
      showSaving("saved", `Neuron ${entry.neuron} ${said.verdict ? `is ${said.verdict}` : "has no verdict"}: saved`);
    }
    tell(entry.neuron, said.verdict, said.note, answer.progress);
    return true;
  } catch (problem) {
    if (isNewest()) refused(entry, problem);
    return false;
  } finally {
    if (isNewest()) entry.queued = entry.running = null;
  }
}

function refused(entry, problem) {
  entry.element.dataset.saving = "failed";
  if (isPassing(problem)) {
    saveLater(entry, problem);
    return;
  }
  entry.wanted.verdict = entry.kept.verdict;
  entry.show();
  showSaving("failed", `Neuron ${entry.neuron}: not saved`);
  toast(`Neuron ${entry.neuron} was not saved. ${problem.message}`, { tone: "bad" });
}

/** No answer, or none from the review store: nothing is wrong with what was said, so it is kept here and sent again. */
const isPassing = (problem) => problem.status === 0 || problem.status === 503;

function saveLater(entry, problem) {
  showSaving("failed", `Neuron ${entry.neuron}: not saved yet`);
  if (entry.retry === 0) toast(`Neuron ${entry.neuron} is not saved yet. ${problem.message} It is tried again by itself.`, { tone: "bad" });
  entry.retry = Math.min(SLOWEST_RETRY, 2 * entry.retry || FIRST_RETRY);
  entry.timer = window.setTimeout(() => save(entry), entry.retry);
}

window.addEventListener("online", () => {
  for (const entry of entries.values()) if (!entry.isSettled) save(entry);
});

export async function undo() {
  if (locked) return;
  await settled();
  if (![...entries.values()].every((entry) => entry.isSettled)) {
    toast("Not undone: your last change is not saved yet.", { tone: "bad" });
    return;
  }
  try {
    const { judgement, progress } = await send("POST", `${base}/undo`);
    showProgress(progress);
    if (!judgement) {
      showSaving("", "");
      toast("There is nothing of yours to undo.");
      return;
    }
    const stands = judgement.verdict ? `is ${judgement.verdict} again` : "has no verdict again";
    showSaving("saved", `Undone: neuron ${judgement.neuron} ${stands}`);
    const entry = entries.get(judgement.neuron);
    entry?.settle(judgement);
    tell(judgement.neuron, judgement.verdict, judgement.note, progress);
    if (!entry) {
      const href = `/reviews/${encodeURIComponent(review)}/neurons/${judgement.neuron}`;
      toast(`Undone: neuron ${judgement.neuron} ${stands}.`, { link: { href, text: "Look at it" } });
    }
  } catch (problem) {
    showSaving("failed", "Not undone");
    toast(`Not undone. ${problem.message}`, { tone: "bad" });
  }
}

/** Resolves once nothing is on its way any more. */
export async function settled() {
  await Promise.all([...entries.values()].map((entry) => (entry.isSettled ? null : save(entry))));
}

function tell(neuron, verdict, note, progress) {
  document.dispatchEvent(new CustomEvent("ni:verdict", { detail: { neuron, verdict, note, progress, from: "cards" } }));
}

function showProgress(progress) {
  for (const place of document.querySelectorAll("[data-judged]")) place.textContent = progress.judged;
  const left = progress.candidates - progress.judged;
  for (const place of document.querySelectorAll("[data-unjudged]")) place.textContent = left;
  for (const bar of document.querySelectorAll("#progress progress")) bar.value = progress.judged;
  for (const place of document.querySelectorAll("[data-count]")) place.textContent = progress[place.dataset.count];
  const chosen = progress.selection;
  for (const place of document.querySelectorAll("[data-selection-word]")) {
    place.textContent = chosen.length === 1 ? "neuron" : "neurons";
  }
  for (const place of document.querySelectorAll("[data-selection-neurons]")) {
    place.textContent = chosen.length ? `: ${chosen.join(", ")}` : "";
  }
}

document.addEventListener("ni:verdict", ({ detail }) => {
  if (detail.from === "cards") return;
  entries.get(detail.neuron)?.settle({ by: "you", ...detail });
  if (detail.progress) showProgress(detail.progress);
});

function watchNote(entry) {
  const field = entry.field;
  if (!field) return;
  field.disabled = false;
  field.addEventListener("input", () => {
    entry.wanted.note = field.value;
    showSaving("saving", "Writing …");
    window.clearTimeout(entry.timer);
    entry.timer = window.setTimeout(() => save(entry), NOTE_PAUSE);
  });
  field.addEventListener("blur", () => entry.isSettled || save(entry));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) field.blur();
  });
}

export function openNote(entry) {
  if (!entry?.field) return;
  entry.box.hidden = false;
  entry.field.focus();
}

/** Take the neurons of the page in hand; `judged` is called after each verdict given by its button. */
export function watch(elements, judged) {
  for (const element of elements) {
    const entry = new Entry(element);
    entries.set(entry.neuron, entry);
    if (locked) continue;
    watchNote(entry);
    for (const button of entry.buttons) {
      button.disabled = false;
      button.addEventListener("click", () => {
        const isOn = button.getAttribute("aria-pressed") === "true";
        judged(entry, isOn ? null : button.dataset.verdict);
      });
    }
  }
  for (const button of document.querySelectorAll("[data-undo]")) {
    button.disabled = locked;
    button.addEventListener("click", undo);
  }
}

// Nothing waits in a queue once the page is left: each request is on its way before that.
window.addEventListener("pagehide", () => {
  for (const entry of entries.values()) {
    if (!entry.isSettled) send("PUT", `${base}/verdicts/${entry.neuron}`, { ...entry.wanted }).catch(() => {});
  }
});
window.addEventListener("beforeunload", (event) => {
  const lost = [...entries.values()].some((entry) => entry.element.dataset.saving === "failed" && !entry.isSettled);
  if (lost) event.preventDefault();
});
