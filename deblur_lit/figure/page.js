"use strict";
// Compares two pictures of an image by a movable divider, and sorts the table of all values.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const stage = byId("stage");
  const moveDivider = attachDivider(stage, (percent) => `${percent} % ${byId("left").value}, the rest ${byId("right").value}`);
  const SHARP = "Sharp";
  const place = new Map(data.images.map((name, index) => [name, index]));
  const withPictures = Object.keys(data.pictures);
  const labels = Object.keys(data.pictures[withPictures[0]]);
  const sorting = { column: -1, descending: false }; // -1: by name

  function fill(select, words) {
    select.replaceChildren(...words.map(([value, text]) => make("option", text, { value })));
  }

  function format(value, protocol) {
    if (value === undefined || Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    return value.toFixed(data.protocols[protocol].unit === "dB" ? 2 : 4).replace("-", "−");
  }

  function valuesOf(label, protocol) {
    const column = data.columns.find((one) => one.label === label && one.protocol === protocol);
    return column && column.values.map(Number);
  }

  // Pictures

  function link(name, text = name) {
    return make("a", text, { href: `#${encodeURIComponent(name)}`, "data-image": name });
  }

  function caption(name, label) {
    const value = label === SHARP ? undefined : valuesOf(label, data.shown)?.[place.get(name)];
    return value === undefined ? label : `${label}, ${format(value, data.shown)} ${data.protocols[data.shown].unit}`;
  }

  function resize() {
    const size = byId("size").value, image = byId("under");
    stage.style.width = size === "fit" ? "" : `${image.naturalWidth * Number(size)}px`;
    stage.classList.toggle("large", Number(size) > 1);
  }

  function showPictures() {
    const name = byId("image").value;
    for (const [side, target] of [["left", "over"], ["right", "under"]]) {
      const label = byId(side).value;
      byId(target).src = data.pictures[name][label];
      byId(target).alt = `${label}: ${name}`;
      byId(`${side}-tag`).textContent = caption(name, label);
    }
    for (const anchor of document.querySelectorAll("a[data-image]")) {
      if (anchor.dataset.image === name) anchor.setAttribute("aria-current", "true");
      else anchor.removeAttribute("aria-current");
    }
    moveDivider();
  }

  function followAddress() {
    const name = decodeURIComponent(location.hash.slice(1)) || withPictures[0];  // an address without an image: the first
    if (Object.hasOwn(data.pictures, name)) byId("image").value = name;
  }

  function showCases() {
    const gains = gainOf(data.shown);
    const titles = {
      shown: "In the figure", worst: `Smallest gain of ${data.last}`, best: `Largest gain of ${data.last}`,
    };
    for (const [kind, names] of Object.entries(data.cases)) {
      const line = make("p", `${titles[kind]}: `);
      for (const name of names) {
        const gain = gains[place.get(name)];
        line.append(link(name, `${name} (${gain > 0 ? "+" : ""}${format(gain, data.shown)})`), " ");
      }
      byId("cases").append(line);
    }
  }

  // The table

  function gainOf(protocol) {
    const [last, blurred] = [valuesOf(data.last, protocol), valuesOf("Blurred", protocol)];
    return last && blurred && last.map((value, index) => value - blurred[index]);
  }

  function columns() {
    const chosen = byId("protocol").value;
    const shown = data.columns
      .filter((column) => chosen === "all" || column.protocol === chosen)
      .map(({ label, protocol, values }) => ({ label, protocol, values: values.map(Number) }));
    const gain = chosen !== "all" && gainOf(chosen);
    if (gain) shown.push({ label: `gain of ${data.last}`, protocol: chosen, values: gain });
    return shown;
  }

  function sortBy(column) {
    const again = sorting.column === column;
    sorting.descending = again && !sorting.descending;
    sorting.column = column;
    showTable();
    byId("table").querySelectorAll("thead button")[column + 1].focus();
  }

  function heading(text, small, column) {
    const cell = make("th", undefined, { scope: "col" });
    const button = make("button", undefined, { type: "button" });
    button.append(make("span", text));
    if (small) button.append(make("small", small));
    button.addEventListener("click", () => sortBy(column));
    if (sorting.column === column) cell.setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
    cell.append(button);
    return cell;
  }

  function order(shown) {
    const indices = data.images.map((_, index) => index);
    const values = sorting.column < 0 ? undefined : shown[sorting.column].values;
    const compare = (a, b) => (values ? compareNumbers(values[a], values[b]) : 0) || a - b;
    indices.sort(compare);
    return sorting.descending ? indices.reverse() : indices;
  }

  function compareNumbers(a, b) {
    if (a === b) return 0;
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return a < b ? -1 : 1;
  }

  function row(name, values, shown, attributes = {}) {
    const line = make("tr", undefined, attributes);
    const head = make("th", undefined, { scope: "row" });
    head.append(Object.hasOwn(data.pictures, name) ? link(name) : name);
    line.append(head, ...values.map((value, index) => make("td", format(value, shown[index].protocol))));
    return line;
  }

  function mean(values) {
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  function showTable() {
    const shown = columns();
    if (sorting.column >= shown.length) sorting.column = -1;
    const all = byId("protocol").value === "all";
    const head = make("tr");
    head.append(heading("image", "", -1), ...shown.map((column, index) =>
      heading(column.label, all ? column.protocol : data.protocols[column.protocol].unit, index)));
    const [top, body] = [make("thead"), make("tbody")];
    top.append(head);
    body.append(row(`mean of ${data.images.length}`, shown.map(({ values }) => mean(values)), shown, { class: "mean" }));
    for (const index of order(shown)) {
      body.append(row(data.images[index], shown.map(({ values }) => values[index]), shown));
    }
    byId("table").replaceChildren(top, body);
    const names = all ? Object.keys(data.protocols) : [byId("protocol").value];
    byId("legend").replaceChildren(...names.flatMap((name) => [`${name}: ${data.protocols[name].text}`, make("br")]));
    showPictures();
  }

  fill(byId("image"), withPictures.map((name) => [name, name]));
  for (const [side, label] of [["left", "Blurred"], ["right", data.last]]) {
    fill(byId(side), labels.map((one) => [one, one]));
    byId(side).value = label;
    byId(side).addEventListener("change", showPictures);
  }
  fill(byId("protocol"), [...Object.keys(data.protocols).map((name) => [name, name]), ["all", "all protocols"]]);
  byId("protocol").value = data.shown;
  byId("protocol").addEventListener("change", showTable);
  byId("image").addEventListener("change", () => { location.hash = encodeURIComponent(byId("image").value); });
  byId("size").addEventListener("change", resize);
  byId("under").addEventListener("load", resize);
  window.addEventListener("hashchange", () => { followAddress(); showPictures(); });
  followAddress();
  showCases();
  showTable();
})();
