// Runs before the first paint, so that a chosen theme never flashes as the other one.
// No module: modules wait for the whole document.
(function () {
  "use strict";
  const key = "durable-streams-theme";
  const names = { auto: "Auto", light: "Light", dark: "Dark" };
  const order = ["auto", "light", "dark"];

  function chosen() {
    try {
      const value = localStorage.getItem(key);
      return value === "light" || value === "dark" ? value : "auto";
    } catch {
      return "auto";
    }
  }

  function apply(value) {
    if (value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
  }

  function show(button, value) {
    document.getElementById("theme-name").textContent = names[value];
    button.setAttribute("aria-label", value === "auto" ? "Colours: as the system" : "Colours: " + value);
  }

  apply(chosen());
  document.addEventListener("DOMContentLoaded", function () {
    const button = document.getElementById("theme");
    show(button, chosen());
    button.addEventListener("click", function () {
      const next = order[(order.indexOf(chosen()) + 1) % order.length];
      try {
        if (next === "auto") localStorage.removeItem(key);
        else localStorage.setItem(key, next);
      } catch {
        // Then it lasts as long as the page.
      }
      apply(next);
      show(button, next);
      document.dispatchEvent(new CustomEvent("theme"));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
      document.dispatchEvent(new CustomEvent("theme"));
    });
  });
})();
