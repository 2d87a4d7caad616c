// Light or dark, before anything is drawn. Knows the choice kept in this browser; runs ahead of the modules.
"use strict";
try {
  const kept = localStorage.getItem("thinkgate.theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
} catch {
  // Storage may be forbidden: then the system's choice holds.
}
