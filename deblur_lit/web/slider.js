"use strict";
// A divider over two pictures of the same size: the mouse drags it, the keyboard moves it, and it says where it is.

// stage: holds an input of class `divider`; its --at is where the upper picture ends. describe: (percent) => words.
// Returns a function to call when what it would say has changed.
function attachDivider(stage, describe) {
  const divider = stage.querySelector("input.divider");

  function move() {
    stage.style.setProperty("--at", `${divider.value}%`);
    divider.setAttribute("aria-valuetext", describe(Math.round(divider.value)));
  }

  function onKey(event) {
    const signs = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
    const sign = signs[event.key];
    if (sign === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    divider.value = Number(divider.value) + sign * (event.shiftKey ? 10 : 1);
    divider.dispatchEvent(new Event("input", { bubbles: true }));
  }

  divider.addEventListener("input", move);
  divider.addEventListener("keydown", onKey);
  return move;
}
