// Sorting by a click on a header, filters of rows, and ranges of the axes of parallel coordinates.
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.closest("th"), body = head.closest("table").tBodies[0], at = Number(head.dataset.at);
  const down = head.getAttribute("aria-sort") !== "descending";
  for (const other of head.closest("thead").querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[at].dataset.v ?? row.cells[at].textContent.trim(), rows = [...body.rows];
  const number = text => Number(text.replaceAll(",", ""));
  rows.sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    const way = isNaN(number(x)) || isNaN(number(y)) ? x.localeCompare(y) : number(x) - number(y);
    return down ? -way : way;
  });
  body.append(...rows);
});

for (const form of document.querySelectorAll(".filters")) {
  form.hidden = false;
  const selects = [...form.querySelectorAll("select")], rows = [...document.querySelectorAll(".board tbody tr")];
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("change", () => {
    const wanted = selects.map(select => [select.dataset.filter, select.value]).filter(([, value]) => value);
    for (const row of rows) {
      const facts = {...row.closest(".board").dataset, ...row.dataset};
      row.hidden = wanted.some(([name, value]) => facts[name] !== value);
    }
    for (const board of document.querySelectorAll(".board"))
      board.hidden = ![...board.querySelectorAll("tbody tr")].some(row => !row.hidden);
    form.querySelector("output").value = `${rows.filter(row => !row.hidden).length} of ${rows.length} rows`;
  });
}

for (const box of document.querySelectorAll(".brush")) {
  const svg = document.getElementById(box.dataset.of), lines = [...svg.querySelectorAll("[data-at]")];
  const names = [...svg.querySelectorAll(".axis")].map(axis => axis.nextElementSibling.textContent);
  const axes = [...svg.querySelectorAll(".axis")].map(axis => axis.getAttribute("d").match(/[\d.]+/g).map(Number));
  const rows = [...document.querySelectorAll(`[data-trials="${box.dataset.of}"] [data-run]`)];
  const slider = (pair, name, end, value) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, {type: "range", min: 0, max: 100, value});
    input.setAttribute("aria-label", `${name}, ${end} in percent of its axis`);
    label.append(end === "from" ? `${name} ` : "to ", input);
    pair.append(label);
    return input;
  };
  const ranges = names.map(name => {
    const pair = box.appendChild(document.createElement("span"));
    return [slider(pair, name, "from", 0), slider(pair, name, "to", 100)];
  });
  const clear = document.createElement("button"), count = document.createElement("output");
  Object.assign(clear, {type: "button", textContent: "All trials"});
  count.setAttribute("aria-live", "polite");
  box.append(clear, count);
  box.hidden = false;
  const show = () => {
    const inside = new Set();
    for (const line of lines) {
      const at = line.dataset.at.split(",");
      const out = ranges.some(([from, to], axis) => (from.value > 0 || to.value < 100) &&
        (at[axis] === "" || 100 * at[axis] < from.valueAsNumber || 100 * at[axis] > to.valueAsNumber));
      line.classList.toggle("out", out);
      if (!out) inside.add(line.dataset.run);
    }
    for (const row of rows) row.hidden = inside.size < lines.length && !inside.has(row.dataset.run);
    count.value = `${inside.size} of ${lines.length} trials`;
  };
  box.addEventListener("input", show);
  clear.addEventListener("click", () => { for (const [from, to] of ranges) [from.value, to.value] = [0, 100]; show(); });
  // dragging along an axis sets its range
  let axis = -1, begin = 0;
  const place = event => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [point.x, point.y];
  };
  const share = y => Math.min(100, Math.max(0, 100 * (axes[axis][2] - y) / (axes[axis][2] - axes[axis][1])));
  svg.addEventListener("pointerdown", event => {
    const [x, y] = place(event);
    axis = axes.findIndex(([at]) => Math.abs(at - x) < 14);
    if (axis >= 0) { begin = share(y); svg.setPointerCapture(event.pointerId); event.preventDefault(); }
  });
  svg.addEventListener("pointermove", event => {
    if (axis < 0) return;
    const now = share(place(event)[1]);
    [ranges[axis][0].value, ranges[axis][1].value] = [Math.min(begin, now), Math.max(begin, now)];
    show();
  });
  svg.addEventListener("pointerup", () => { axis = -1; });
}
