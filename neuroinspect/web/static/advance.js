// Whether a verdict goes on to the next neuron; kept in this browser.

const PLACE = "ni.advance";

export function advances() {
  try {
    return localStorage.getItem(PLACE) !== "off";
  } catch {
    return true;
  }
}

for (const box of document.querySelectorAll("input[data-advance]")) {
  box.checked = advances();
  box.addEventListener("change", () => {
    try {
      localStorage.setItem(PLACE, box.checked ? "on" : "off");
    } catch {
      box.checked = true;
    }
  });
}
