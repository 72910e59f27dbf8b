"use strict";
// What outlives a reload: where one was and what one chose.

const KEPT = `deblur-lit ${location.pathname}`;

function restore() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? {};
  } catch {
    return {}; // storage is forbidden here: the page starts anew
  }
}

function keep() {
  const state = {
    scroll: [scrollX, scrollY], focus: document.activeElement?.id,
    paused: document.getElementById("pause").getAttribute("aria-pressed") === "true",
    hidden: [...document.querySelectorAll(".legend button[aria-pressed=false]")].map((button) => button.id),
    values: Object.fromEntries([...document.querySelectorAll("select[id], input[id]")].map(({ id, value }) => [id, value])),
  };
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(state));
  } catch {
    // the same
  }
}

function choose(control, fallback) {
  const wanted = kept.values?.[control.id] ?? fallback;
  if (wanted !== undefined) control.value = wanted;
  if (control.selectedIndex === -1) control.selectedIndex = 0; // what was chosen is no longer there
}

const kept = restore();
