/* Refreshes the live page: asks for its panels, and puts in place those that changed.

   Stops while the tab is hidden and while somebody pauses it; says when what is shown is out of date, and why. One
   request at a time, and none waits for longer than GIVE_UP_MS. Keeps the keyboard's place. */
"use strict";

(() => {
  const GIVE_UP_MS = 8000;
  const STALE_MS = 10000;
  const SLOWEST_MS = 15000;

  const live = document.getElementById("live");
  const told = document.getElementById("live-told");
  const pause = document.getElementById("live-pause");
  if (!live || !told || !pause) return;

  const every = Number(live.dataset.refreshMs) || 2500;
  const title = document.title;
  let fresh = performance.now();
  let failures = 0;
  let paused = false;
  let trouble = "";
  let timer = 0;
  let asking = false;

  function say(text, { stale = false, address = "" } = {}) {
    live.classList.toggle("stale", stale);
    told.classList.toggle("stale", stale);
    // A reader hears of a change of state, not of every refresh.
    told.setAttribute("aria-live", stale ? "assertive" : "off");
    if (told.textContent === text) return;
    told.textContent = text;
    if (!address) return;
    const link = document.createElement("a");
    link.href = address;
    link.textContent = "Sign in again";
    told.append(" ", link);
  }

  function tell() {
    const taken = live.querySelector("[data-taken]");
    const at = taken ? `as of ${taken.dataset.taken} UTC` : "";
    if (trouble === "signed out") say("Signed out; this page stands still.", { stale: true, address: live.dataset.signIn });
    else if (paused) say(`Paused, ${at}`);
    else if (performance.now() - fresh > STALE_MS) say(`Out of date: ${at} (${trouble || "no answer"})`, { stale: true });
    else say(`Refreshes by itself, ${at}`);
  }

  function name() {
    const symptoms = live.querySelector("[data-symptoms]");
    const count = symptoms ? Number(symptoms.dataset.symptoms) : 0;
    document.title = count ? `(${count}) ${title}` : title;
  }

  /* A panel that did not change stays as it is: nothing flickers, and what is selected stays selected. */
  function replace(panel, next) {
    if (panel.outerHTML === next.outerHTML) return;
    const focused = panel.contains(document.activeElement) ? document.activeElement : null;
    const scrolled = [...panel.querySelectorAll(".live-scroll")].map((part) => part.scrollLeft);
    panel.replaceWith(next);
    next.querySelectorAll(".live-scroll").forEach((part, place) => { part.scrollLeft = scrolled[place] || 0; });
    if (!focused) return;
    const links = [...next.querySelectorAll("a, [tabindex]")];
    const again = links.find((link) => link.getAttribute("href") === focused.getAttribute("href") && link.tagName === focused.tagName);
    if (again) again.focus({ preventScroll: true });
  }

  function show(text) {
    const parsed = new DOMParser().parseFromString(text, "text/html");
    const panels = parsed.querySelectorAll("[data-panel]");
    if (!panels.length) throw new Error("not the panels");
    panels.forEach((next) => {
      const panel = document.getElementById(next.id);
      if (panel) replace(panel, document.importNode(next, true));
    });
  }

  async function look() {
    if (asking || paused || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(live.dataset.panels, {
        credentials: "same-origin", redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(GIVE_UP_MS),
      });
      if (answer.type === "opaqueredirect" || answer.status === 403) throw new Error("signed out");
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      show(await answer.text());
      fresh = performance.now();
      failures = 0;
      trouble = "";
      name();
    } catch (error) {
      failures += 1;
      trouble = error.name === "TimeoutError" ? "no answer in time" : error.name === "TypeError" ? "the service is away" : error.message;
    } finally {
      asking = false;
    }
    tell();
    plan();
  }

  /* After a failure each wait is longer, so that a service in trouble is not asked by every wall at once. */
  function plan() {
    clearTimeout(timer);
    if (paused || document.hidden || trouble === "signed out") return;
    timer = setTimeout(look, Math.min(every * 2 ** Math.min(failures, 3), SLOWEST_MS));
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    tell();
    if (paused) clearTimeout(timer);
    else look();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else look();
  });

  pause.hidden = false;
  setInterval(tell, 1000);
  name();
  tell();
  plan();
})();
