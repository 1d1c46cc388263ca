for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.closest("th"), body = head.closest("table").tBodies[0], at = Number(head.dataset.at);
  const down = head.getAttribute("aria-sort") !== "descending";
  for (const other of head.closest("thead").querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[at].dataset.v, rows = [...body.rows];
  rows.sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    const way = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return down ? -way : way;
  });
  body.append(...rows);
});
