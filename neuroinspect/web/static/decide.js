// The second step before a decision: what exactly will happen, then the answer of the server, also where it refuses.

import { send } from "./api.js";

const dialog = document.getElementById("confirm");
const part = (name) => dialog.querySelector(`[data-confirm-${name}]`);
let asked = null;

const listed = (neurons) =>
  neurons.length === 1 ? `neuron ${neurons[0]}` : `neurons ${neurons.slice(0, -1).join(", ")} and ${neurons.at(-1)}`;

function wording({ verdict, neurons, strength }, name) {
  if (verdict === "rejected") return "Rejects the finding: nothing is edited, the matter ends, and your reason is kept.";
  const far = strength === 1 ? "in full (strength 1)" : `at strength ${strength}`;
  return `Edits ${listed(neurons)} of class ${name} ${far}. The edit starts at once; the original model is kept as it is.`;
}

function showProblem(text) {
  part("problem").textContent = text;
  part("problem").hidden = text === "";
}

/** Show what an answer would do; `projected` is a sentence about its what-if, or empty. */
export function confirm(answer, { name, projected }) {
  asked = answer;
  const approving = answer.verdict === "approved";
  part("title").textContent = approving ? "Approve this edit?" : "Reject this finding?";
  part("says").textContent = wording(answer, name);
  part("what-if").textContent = projected;
  part("note").textContent = answer.note;
  part("note").hidden = answer.note === "";
  part("yes").textContent = approving ? "Approve the edit" : "Reject the finding";
  part("yes").disabled = false;
  part("yes").hidden = false;
  part("look").hidden = true;
  showProblem("");
  dialog.showModal();
  part("yes").focus();
}

async function decide() {
  part("yes").disabled = true;
  showProblem("");
  const base = `/api/reviews/${encodeURIComponent(document.body.dataset.review)}`;
  try {
    const kept = await send("POST", `${base}/decision`, asked);
    window.location.assign(kept.outcome);
  } catch (problem) {
    showProblem(problem.kind === "ReviewConflictError" ? problem.message : `Not kept: ${problem.message}`);
    const over = problem.status === 409 || problem.status === 410 || problem.status === 412;
    const changed = problem.kind === "SelectionChangedError";
    part("yes").hidden = over;
    part("yes").disabled = false;
    part("look").hidden = !over;
    part("look").textContent = changed ? "Look at the neurons again" : "See what came of it";
    part("look").href = changed ? window.location.href.split("#")[0] : `/reviews/${encodeURIComponent(document.body.dataset.review)}/outcome`;
    if (over) part("look").focus();
  }
}

if (dialog) {
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    decide();
  });
  part("no").addEventListener("click", () => dialog.close());
}
