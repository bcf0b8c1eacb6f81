// What every page does: keys, local times, and a word in the place of a picture that cannot be shown.

import { element } from "./element.js";
import "./keys.js";

function replaceBroken(picture) {
  const note = element("span", `gone ${picture.className}`, "no picture");
  note.setAttribute("role", "img");
  note.setAttribute("aria-label", `${picture.alt || "Picture"}: the file cannot be read`);
  picture.replaceWith(note);
}

document.addEventListener(
  "error",
  (event) => {
    if (event.target instanceof HTMLImageElement) replaceBroken(event.target);
  },
  true,
);
for (const picture of document.images) {
  if (picture.complete && picture.naturalWidth === 0 && picture.getAttribute("src")) replaceBroken(picture);
}

const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) {
  const when = new Date(time.dateTime);
  if (!Number.isNaN(when.valueOf())) time.title = `${local.format(when)} (your time)`;
}

for (const field of document.querySelectorAll("[data-submit-on-change]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}
