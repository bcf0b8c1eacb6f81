// The panel beside the neurons: the selection, what its edit would give, and the decision.

import { send } from "./api.js";
import { confirm } from "./decide.js";
import { element } from "./element.js";
import { onKeys } from "./keys.js";
import { showSaving, toast } from "./status.js";
import { entryOf, judge, locked, settled } from "./verdicts.js";
import { WhatIf, drawn } from "./what_if.js";

const PAUSE = 600;
const panel = document.querySelector("[data-answer]");
const place = document.getElementById("answer");
const review = encodeURIComponent(document.body.dataset.review ?? "");
const part = (name) => panel.querySelector(`[data-${name}]`);

let chosen = [...(panel?.querySelectorAll("[data-selected-neuron]") ?? [])].map((one) => Number(one.dataset.selectedNeuron));
let timer = 0;
let projected = { key: "", sentence: "" };

const strength = () => Number(part("strength")?.value ?? 1);
const method = () => part("method")?.value ?? null;
const question = () => ({ neurons: chosen, method: method(), strength: strength() });

// -- the panel itself: beside the cards where there is room, else a drawer that is opened

const isSeen = () => getComputedStyle(place).display !== "none";
const asDrawer = () => getComputedStyle(place).position === "fixed";

function open() {
  place.classList.remove("drawer-closed");
  askSoon(0);
}

function close() {
  place.classList.add("drawer-closed");
  document.querySelector("[data-to-answer]")?.focus({ preventScroll: true });
}

function toPanel(target) {
  open();
  const goal = target ?? place;
  goal.focus({ preventScroll: true });
  goal.scrollIntoView({ block: "nearest" });
}

// -- the selection

function chip(neuron) {
  const item = element("li", "chip spurious");
  item.dataset.selectedNeuron = neuron;
  const link = element("a", "", neuron);
  link.href = `/reviews/${review}/neurons/${neuron}`;
  item.append(link);
  if (locked) return item;
  const away = element("button", "chip-away", "×");
  away.type = "button";
  away.setAttribute("aria-label", `Take the verdict on neuron ${neuron} away`);
  away.addEventListener("click", () => takeAway(neuron));
  item.append(away);
  return item;
}

function showChosen() {
  part("selected").replaceChildren(...chosen.map(chip));
  part("selected-count").textContent = chosen.length;
  part("selected-none").hidden = chosen.length > 0;
  if (part("neurons")) part("neurons").value = chosen.join(",");
  const none = chosen.length === 0;
  if (part("approve")) part("approve").disabled = none;
  if (part("decide-says")) part("decide-says").textContent = none ? "Approving needs a neuron that is called spurious." : "";
  if (part("what-if-run")) part("what-if-run").disabled = none;
}

/** Take the verdict on a neuron back; its note stays. */
async function takeAway(neuron) {
  const entry = entryOf(document.querySelector(`[data-neuron="${neuron}"]`));
  if (entry) {
    await judge(entry, null);
    return;
  }
  showSaving("saving", "Saving …");
  try {
    const { judgement } = await send("GET", `/api/reviews/${review}/neurons/${neuron}`);
    const note = judgement?.note ?? "";
    const { progress } = await send("PUT", `/api/reviews/${review}/verdicts/${neuron}`, { verdict: null, note });
    showSaving("saved", `Neuron ${neuron} has no verdict: saved`);
    document.dispatchEvent(
      new CustomEvent("ni:verdict", { detail: { neuron, verdict: null, note, progress, from: "answer" } }),
    );
  } catch (problem) {
    showSaving("failed", `Neuron ${neuron}: not saved`);
    toast(`Neuron ${neuron} was not saved. ${problem.message}`, { tone: "bad" });
  }
}

// -- what if

function say(text) {
  if (part("what-if-state")) part("what-if-state").textContent = text;
}

function heard(state, detail) {
  const found = part("what-if-found");
  panel.toggleAttribute("data-asking", state === "asking" || state === "slow");
  if (state === "asking") say("Trying the edit …");
  if (state === "slow") say("Still trying. The first question reads the features of the run and takes longer.");
  if (state === "failed") {
    found.replaceChildren();
    say(detail.message);
  }
  if (state === "done") {
    projected = { key: JSON.stringify(question()), sentence: detail.sentence };
    found.replaceChildren(drawn(detail));
    say("");
  }
}

const bench = panel ? new WhatIf(`/api/reviews/${review}/what-if`, heard) : null;

function askNow() {
  if (!part("what-if-found")) return;
  if (chosen.length === 0) {
    bench.drop();
    part("what-if-found").replaceChildren();
    say("");
    return;
  }
  bench.ask(question());
}

function askSoon(pause = PAUSE) {
  window.clearTimeout(timer);
  if (!panel || !isSeen()) return;
  timer = window.setTimeout(askNow, pause);
}

// -- the decision

const DRAFT = `ni.reason.${review}`;

/** A reason that is being written outlives a look at another neuron; nothing is lost where the browser keeps nothing. */
function keepDraft(text) {
  try {
    sessionStorage.setItem(DRAFT, text);
  } catch {
    return;
  }
}

function draft() {
  try {
    return sessionStorage.getItem(DRAFT) ?? "";
  } catch {
    return "";
  }
}

async function decideOn(verdict) {
  const reason = part("reason");
  const note = reason.value.trim();
  if (verdict === "rejected" && note === "") {
    part("decide-says").textContent = "A rejection needs a reason: it is all that is kept of the matter.";
    reason.setAttribute("aria-invalid", "true");
    toPanel(reason);
    return;
  }
  reason.removeAttribute("aria-invalid");
  await settled();
  const approving = verdict === "approved";
  if (approving && chosen.length === 0) return;
  const known = projected.key === JSON.stringify(question()) ? `Projected: ${projected.sentence}` : "";
  const answer = { verdict, neurons: approving ? chosen : [], strength: approving ? strength() : 1, note };
  confirm(answer, { name: panel.dataset.class, projected: approving ? known : "" });
}

function watchForm(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    decideOn(event.submitter?.value ?? "approved");
  });
  const reason = part("reason");
  if (reason.value === "") reason.value = draft();
  reason.addEventListener("input", () => keepDraft(reason.value));
  reason.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(part("approve"));
  });
}

if (panel) {
  place.classList.add("drawer", "drawer-closed");
  part("answer-close").hidden = false;
  part("answer-close").addEventListener("click", close);
  for (const link of document.querySelectorAll("[data-to-answer]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      toPanel();
    });
  }
  showChosen();
  for (const control of panel.querySelectorAll("[data-what-if]")) control.hidden = false;
  part("strength").addEventListener("input", () => {
    part("strength-shown").textContent = strength();
    askSoon();
  });
  if (part("method")) {
    part("what-if-run").addEventListener("click", askNow);
    part("method").addEventListener("change", () => askSoon(0));
  }
  const form = panel.querySelector("[data-decide]");
  if (form) watchForm(form);
  document.addEventListener("ni:verdict", ({ detail }) => {
    const next = detail.progress?.selection;
    if (!next || next.join() === chosen.join()) return;
    chosen = next;
    showChosen();
    askSoon();
  });
  onKeys(["w"], () => {
    toPanel();
    askNow();
  });
  onKeys(["a"], () => toPanel(part("reason") ?? place));
  onKeys(["Escape"], () => {
    if (!isSeen() || !asDrawer()) return true;
    close();
    return false;
  });
  askSoon(0);
}
