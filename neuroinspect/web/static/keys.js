// Keys: off in text fields and with modifiers, shown in an overlay.

const bindings = new Map();

/** Bind names of keys, as KeyboardEvent.key gives them in lower case, to an action; true from it means: not handled. */
export function onKeys(names, action) {
  for (const name of names) bindings.set(name, action);
}

function inText(target) {
  if (!(target instanceof Element)) return false;
  if (target.closest("textarea, select, [contenteditable]")) return true;
  const field = target.closest("input");
  return field !== null && !["checkbox", "radio", "button", "submit"].includes(field.type);
}

const dialogIsOpen = () => document.querySelector("dialog[open]") !== null;

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (inText(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (dialogIsOpen() && event.key !== "?") return;
  const onControl = event.target instanceof Element && event.target.closest("a, button, summary, input, video");
  if (onControl && (event.key === "Enter" || event.key === " ")) return;
  const onChoice = event.target instanceof Element && event.target.closest('input[type="radio"]');
  if (onChoice && event.key.startsWith("Arrow")) return;
  const action = bindings.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  if (!action || action(event) === true) return;
  event.preventDefault();
});

const overlay = document.getElementById("keys");

function toggleOverlay() {
  if (!overlay) return;
  if (overlay.open) overlay.close();
  else overlay.showModal();
}

if (overlay) {
  onKeys(["?"], toggleOverlay);
  overlay.addEventListener("click", (event) => {
    if (event.target === overlay) overlay.close();
  });
  for (const button of document.querySelectorAll("[data-keys-open]")) {
    button.hidden = false;
    button.addEventListener("click", toggleOverlay);
  }
}
