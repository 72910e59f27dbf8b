"use strict";
// Shows curves and pictures of each data set, tells ages, and reloads the page while jobs run.
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const COLORS = 8;
  let touched = 0; // when somebody last did something: a reload would be in the way

  function age(seconds) {
    const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const [size, unit] = units.find(([length]) => seconds >= length) ?? [1, "s"];
    return `${Math.max(0, Math.floor(seconds / size))} ${unit} ago`;
  }

  function tellAges() {
    for (const time of document.querySelectorAll("time")) {
      time.title ||= time.textContent;
      time.textContent = age((Date.now() - Date.parse(time.dateTime)) / 1000);
    }
    const written = age((Date.now() - Date.parse(document.lastModified)) / 1000);
    const reloads = page.paused ? "reloading is paused" : `reloads every ${page.reload} s`;
    document.getElementById("written").textContent = `Written ${written}, ${reloads}.`;
  }

  function watch() {
    if (!page.live) return tellAges();
    page.paused = kept.paused ?? false;
    let due = Date.now() + page.reload * 1000;
    const pause = document.getElementById("pause");
    const show = () => {
      pause.setAttribute("aria-pressed", String(page.paused));
      tellAges();
    };
    pause.addEventListener("click", () => {
      page.paused = !page.paused;
      due = Date.now() + page.reload * 1000;
      show();
    });
    document.getElementById("live").hidden = false;
    show();
    for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchmove", "input"]) {
      window.addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
    }
    setInterval(() => {
      tellAges();
      const busy = document.hidden || Date.now() - touched < 2000 || !getSelection().isCollapsed;
      if (page.paused || busy || Date.now() < due) return;
      keep();
      location.reload();
    }, 1000);
  }

  for (const element of document.querySelectorAll(".group")) {
    const group = JSON.parse(element.querySelector(".data").textContent);
    const others = group.rows.filter((row) => !row.reference);
    for (const row of group.rows) row.color = row.reference ? "var(--reference)" : `var(--c${others.indexOf(row) % COLORS})`;
    showCurves(element, group);
    showPictures(element, group);
  }
  watch();
  window.addEventListener("pagehide", keep);
  if (kept.scroll) {
    history.scrollRestoration = "manual";
    scrollTo(...kept.scroll);
    document.getElementById(kept.focus)?.focus({ preventScroll: true });
  }
})();
