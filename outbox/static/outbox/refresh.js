// Keeps one part of a page up to date: asks its address (data-refresh) every two seconds while there is one, and loads
// the whole page anew when its status changes, since the buttons change with it. Without it, reloading shows the same.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const PERIOD_MS = 2000;
  const part = document.querySelector("[data-refresh]");
  const status = () => part.querySelector("[data-status]")?.dataset.status;

  const refresh = async () => {
    const before = status();
    try {
      const answer = await fetch(part.dataset.refresh, { credentials: "same-origin" });
      if (answer.redirected || answer.status === 403) return; // signed out: nothing more to show
      if (answer.ok) part.innerHTML = await answer.text();
    } catch {
      // The service restarts, or the network is gone: the next turn asks again.
    }
    if (status() !== before) window.location.reload();
    else window.setTimeout(refresh, PERIOD_MS);
  };

  if (part?.dataset.refresh) window.setTimeout(refresh, PERIOD_MS);
});
