// Everything the Tab key should stop at, in the order of the page; of a group of radio buttons the chosen one, or the first.
() => {
  const all = document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, [tabindex], [contenteditable="true"], audio[controls], video[controls]'
  );
  const radios = new Map();
  const stops = [];
  for (const element of all) {
    if (element.tabIndex < 0 || element.matches(":disabled") || element.type === "hidden") continue;
    if (!element.checkVisibility({ visibilityProperty: true }) || element.closest("[inert]")) continue;
    if (element.type === "radio") {
      const key = `${element.form?.id} ${element.name}`;
      if (radios.has(key) && !element.checked) continue;
      if (radios.has(key)) stops.splice(stops.indexOf(radios.get(key)), 1);
      radios.set(key, element);
    }
    stops.push(element);
  }
  window.stopsOfTest = stops;
  const words = (element) => element.getAttribute("aria-label") || element.textContent || element.name || "";
  return stops.map((element, number) => {
    const shown = words(element).trim().replace(/\s+/g, " ").slice(0, 40);
    return `${number} ${element.tagName.toLowerCase()} ${shown}`;
  });
};
