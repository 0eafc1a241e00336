"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const rows = all("tbody.row");
  const chips = all(".chip");
  const search = document.querySelector(".bar input");
  const output = document.querySelector(".bar output");
  const expand = document.querySelector("[data-expand]");
  const bar = document.querySelector(".bar");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  let tag = "";

  function open(row, wanted) {
    row.classList.toggle("open", wanted);
    row.querySelector(".toggle").setAttribute("aria-expanded", String(wanted));
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const tagged = !tag || row.dataset.tags.split("|").includes(tag);
      row.hidden = !(tagged && words.every((word) => texts.get(row).includes(word)));
    }
    for (const part of all(".part, .document")) {
      part.hidden = !part.querySelector("tbody.row:not([hidden])");
    }
    const shown = rows.filter((row) => !row.hidden).length;
    output.textContent = `${shown} of ${rows.length} rows`;
    document.querySelector(".nothing").hidden = shown > 0;
  }

  function choose(name) {
    tag = name;
    for (const chip of chips) {
      chip.setAttribute("aria-pressed", String(chip.dataset.tag === tag));
    }
    filter();
  }

  function key(row, column) {
    const cell = row.querySelector(".line").cells[column];
    return cell.dataset.key ?? cell.textContent.trim();
  }

  function compare(a, b) {
    if (a === "" || b === "") return (a === "") - (b === "");
    return isNaN(a) || isNaN(b) ? a.localeCompare(b, "en", { numeric: true }) : a - b;
  }

  function sort(heading) {
    const table = heading.closest("table");
    const next = { none: "ascending", ascending: "descending", descending: "none" };
    const order = next[heading.getAttribute("aria-sort") ?? "none"];
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    if (order !== "none") heading.setAttribute("aria-sort", order);
    const mine = rows.filter((row) => row.closest("table") === table);
    const column = heading.cellIndex;
    const sign = order === "descending" ? -1 : 1;
    if (order !== "none") {
      mine.sort((a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        return x === "" || y === "" ? compare(x, y) : sign * compare(x, y);
      });
    }
    table.append(...mine);
  }

  function follow() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (const row of rows) row.classList.remove("marked");
    const row = target?.closest("tbody.row");
    if (!row) return;
    if (row.hidden) {
      search.value = "";
      choose("");
    }
    open(row, true);
    row.classList.add("marked");
    target.scrollIntoView();
  }

  for (const chip of chips) chip.addEventListener("click", () => choose(chip.dataset.tag));
  for (const heading of all(".rows thead th")) {
    heading.firstElementChild.addEventListener("click", () => sort(heading));
  }
  for (const row of rows) {
    row.querySelector(".line").addEventListener("click", (event) => {
      if (event.target.closest("a") || String(getSelection())) return;
      open(row, !row.classList.contains("open"));
    });
  }
  search.addEventListener("input", filter);
  expand.addEventListener("click", () => {
    const wanted = expand.getAttribute("aria-pressed") !== "true";
    expand.setAttribute("aria-pressed", String(wanted));
    expand.textContent = wanted ? "Collapse all" : "Expand all";
    for (const row of rows) open(row, wanted);
  });
  const measure = () => {
    const height = getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0;
    document.documentElement.style.setProperty("--bar", `${height}px`);
  };
  new ResizeObserver(measure).observe(bar);
  addEventListener("hashchange", follow);
  measure();
  filter();
  follow();
})();
