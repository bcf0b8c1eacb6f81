// Asks what an edit would give, and draws the answer: the newest question wins, older answers are dropped.

import { send } from "./api.js";
import { element } from "./element.js";

const SVG = "http://www.w3.org/2000/svg";
const LAYERS = [
  ["edit", "Edit"],
  ["retrain", "Retrain-only"],
  ["placebo", "Placebo"],
];

/** Asks one question after the other; `tell(state, detail)` hears "asking", "slow", "done" and "failed". */
export class WhatIf {
  constructor(url, tell) {
    this.url = url;
    this.tell = tell;
    this.asked = null;
    this.stop = null;
  }

  /** Ask, unless this is what was asked last and is answered or on its way. */
  async ask(question) {
    const key = JSON.stringify(question);
    if (key === this.asked) return;
    this.drop();
    this.asked = key;
    const stop = new AbortController();
    this.stop = stop;
    this.tell("asking");
    const slow = window.setTimeout(() => this.tell("slow"), 2500);
    try {
      let answer;
      do {
        answer = await send("POST", this.url, question, { signal: stop.signal });
      } while (answer.state === "waiting" && this.stop === stop);
      if (this.stop === stop) this.tell("done", answer);
    } catch (problem) {
      if (this.stop !== stop || problem.name === "AbortError") return;
      this.asked = null;
      this.tell("failed", problem);
    } finally {
      window.clearTimeout(slow);
      if (this.stop === stop) this.stop = null;
    }
  }

  /** Forget what is on its way. */
  drop() {
    this.stop?.abort();
    this.stop = null;
    this.asked = null;
  }
}

function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Where values stand on a scale on which the original always is, in percent of the width. */
function scaleOf(line) {
  const values = [line.original.value];
  for (const [name] of LAYERS) {
    const cell = line[name];
    if (cell) values.push(...[cell.value, cell.low, cell.high].filter((value) => value !== null));
  }
  const low = Math.min(...values);
  const span = Math.max(Math.max(...values) - low, 0.02);
  return (value) => `${(4 + (92 * (value - low)) / span).toFixed(2)}%`;
}

function bar(name, cell, line, place) {
  const plot = shape("svg", { width: "100%", height: "14", "aria-hidden": "true", focusable: "false" });
  const from = place(line.original.value);
  plot.append(shape("line", { class: "axis", x1: from, x2: from, y1: "0", y2: "14" }));
  plot.append(shape("line", { class: `gain ${name}`, x1: from, x2: place(cell.value), y1: "7", y2: "7" }));
  if (cell.low !== null && cell.high !== null && cell.low !== cell.high) {
    plot.append(shape("line", { class: "range", x1: place(cell.low), x2: place(cell.high), y1: "7", y2: "7" }));
  }
  plot.append(shape("circle", { class: `dot ${name}`, cx: place(cell.value), cy: "7", r: "3.5" }));
  return plot;
}

function rowOf(name, title, cell, line, place) {
  const row = element("tr", name);
  const head = element("th", "", title);
  head.scope = "row";
  const plot = element("td", "plot");
  if (cell.value !== null) plot.append(bar(name, cell, line, place));
  const value = element("td", "value");
  value.append(element("b", "", cell.shown), " ", element("span", "soft", cell.change));
  if (cell.range) value.append(element("span", "soft spread", `draws ${cell.range}`));
  row.append(head, plot, value);
  return row;
}

function tableOf(line) {
  const table = element("table", "projected");
  const caption = element("caption", "", line.title);
  const now = element("span", "soft", ` now ${line.original.shown}`);
  caption.append(now);
  if (line.original.cell) {
    const cell = element("bdi", "soft", ` (${line.original.cell})`);
    caption.append(cell);
  }
  const body = element("tbody");
  const place = scaleOf(line);
  for (const [name, title] of LAYERS) {
    if (line[name]) body.append(rowOf(name, title, line[name], line, place));
  }
  table.append(caption, body);
  return table;
}

const TONES = { beyond: "good", within: "", unknown: "", refused: "warn" };

/** The answer as a small piece of the page. */
export function drawn(answer) {
  const found = element("div", "what-if-found");
  const verdict = element("p", `what-if-verdict ${TONES[answer.verdict] ?? ""}`, answer.sentence);
  found.append(verdict);
  for (const line of answer.lines) found.append(tableOf(line));
  const draws = answer.draws === 1 ? "1 placebo draw" : `${answer.draws} placebo draws`;
  const basis = `A projection, not a result: ${answer.title.toLowerCase()} at strength ${answer.strength}, tried briefly and judged on ${answer.samples.toLocaleString("en")} pictures of the select split, beside ${draws} of as many neurons nobody suspects. Only the edit itself and the judge split can confirm it.`;
  found.append(element("p", "small soft", basis));
  return found;
}
