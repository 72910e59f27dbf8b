"use strict";
// Shows pictures of rows below dividers: each against the blurred input, and any two.

function stage(id, label) {
  const box = make("div", undefined, { class: "stage" });
  const under = make("img", undefined, { alt: "" }), over = make("img", undefined, { alt: "", class: "over" });
  const tags = ["left", "right"].map((side) => make("span", "", { class: `tag ${side}` }));
  const divider = make("input", undefined, { id, class: "divider", type: "range", min: 0, max: 100, step: 0.1, value: 50, "aria-label": label });
  box.append(under, over, ...tags, divider, make("span", undefined, { class: "line", "aria-hidden": "true" }));
  choose(divider);
  const move = attachDivider(box, (percent) => `${percent} % ${tags[0].textContent}, the rest ${tags[1].textContent}`);
  const show = (left, right, kind) => {
    [[left, over, tags[0]], [right, under, tags[1]]].forEach(([side, image, tag]) => {
      image.src = side.uri;
      image.alt = side.name;
      tag.textContent = side.name;
    });
    box.classList.toggle("sharp-pixels", kind === "detail");
    move();
  };
  return { box, divider, move, show };
}

function showPictures(element, group) {
  const strips = element.querySelector(".strips");
  if (!strips) return;
  const [image, kind, left, right] = ["image", "kind", "left", "right"].map((name) => document.getElementById(`${element.id}-${name}`));
  const titles = new Map([["blur", "Blurred"], ["sharp", "Sharp"], ...group.rows.map((row) => [`row ${row.key}`, row.title])]);
  const rows = group.rows.filter((row) => group.pictures.source[row.key]);
  for (const select of [left, right]) {
    const keys = ["blur", "sharp", ...rows.map((row) => `row ${row.key}`)];
    select.replaceChildren(...keys.map((value) => make("option", titles.get(value), { value })));
  }
  choose(left, rows.length > 1 ? `row ${rows[0].key}` : "blur");
  choose(right, `row ${rows.at(-1).key}`);
  [image, kind].forEach((select) => choose(select));
  const cards = rows.map((row) => {
    const card = stage(`${element.id}-divider-${row.key}`, `Divider between blurred and ${row.title}`);
    const figure = make("figure"), caption = make("figcaption");
    caption.append(make("b", row.title), make("span", group.pictures.source[row.key]));
    figure.append(card.box, caption);
    strips.append(figure);
    return { ...card, key: `row ${row.key}`, figure };
  });
  for (const card of cards) { // they move together, so that the same place is compared
    card.divider.addEventListener("input", () => {
      for (const other of cards) {
        other.divider.value = card.divider.value;
        other.move();
      }
    });
  }
  const pair = stage(`${element.id}-divider`, "Divider between the left and the right picture");
  element.querySelector(".pair").append(pair.box);
  const update = () => {
    const places = group.pictures.images[image.value][kind.value];
    const side = (key) => ({ name: titles.get(key), uri: group.pictures.uris[places[key]] });
    for (const card of cards) {
      card.figure.hidden = places[card.key] === undefined;
      if (!card.figure.hidden) card.show(side("blur"), side(card.key), kind.value);
    }
    for (const option of [...left.options, ...right.options]) option.disabled = places[option.value] === undefined;
    for (const select of [left, right]) if (places[select.value] === undefined) select.value = "blur";
    pair.show(side(left.value), side(right.value), kind.value);
  };
  [image, kind, left, right].forEach((select) => select.addEventListener("change", update));
  update();
}
