"use strict";
(() => {
  const { texts, rows: known, words, status, command } = JSON.parse(document.getElementById("details").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  const fill = (text, facts) => text.replace(/\{(\w+)\}/g, (_, name) => facts[name]);
  const table = one("claims");
  const bodies = [...table.tBodies];
  const rows = all("tbody.row");
  const chips = all(".chip");
  const selects = { document: one("document"), scopes: one("scope"), machines: one("machine") };
  const search = one("search");
  const order = ["refuted", "inconclusive", "unmeasured", "confirmed"];
  const home = new Map(rows.flatMap((row) => known[row.id][2].map((cell) => [cell[0], row])));
  const haystacks = new Map();
  let tag = "";
  let sorted = false;

  function element(name, className, ...children) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }

  function button(className, text, action) {
    const made = element("button", className, text);
    made.type = "button";
    made.addEventListener("click", action);
    return made;
  }

  function badge(name) {
    return element("span", `badge ${name}`, status[name]);
  }

  async function copy(event, anchor) {
    const target = event.currentTarget;
    history.replaceState(null, "", `#${anchor}`);
    try {
      await navigator.clipboard.writeText(location.href);
      target.textContent = words.copied;
    } catch {
      target.textContent = words.in_address;
    }
    setTimeout(() => (target.textContent = words.copy), 2000);
  }

  function fact(value) {
    if (!Array.isArray(value)) return [texts[value]];
    return value.map((pair) => {
      const [name, text] = texts[pair];
      return element("span", "fact", `${name} `, element("b", "", text));
    });
  }

  function card([anchor, id, heading, verdict, stale, value, says, facts], row) {
    const list = element("dl", "", element("dt", "", words.claim), element("dd", "", element("code", "", id)));
    for (let at = 0; at < facts.length; at += 2) {
      list.append(element("dt", "", texts[facts[at]]), element("dd", "", ...fact(facts[at + 1])));
    }
    const title = element("header", "", element("h4", "", texts[heading]), badge(verdict));
    if (stale) title.append(badge("stale"));
    title.append(button("copy plain", words.copy, (event) => copy(event, anchor)));
    const made = element("article", "evidence", title, element("p", "big", value));
    if (says !== "") made.append(element("p", "", texts[says]));
    const repeat = element("pre", "", element("code", "", fill(command, { id })));
    made.append(list, element("p", "repeat", words.repeat), repeat);
    if (anchor !== row.id) made.id = anchor;
    made.dataset.claim = id;
    return made;
  }

  function details(row) {
    const [quote, language, cells] = known[row.id];
    const inside = element("td");
    inside.colSpan = 6;
    if (quote) {
      const original = element("blockquote", "", quote);
      if (language) original.lang = language;
      inside.append(original);
    }
    inside.append(element("div", "cells", ...cells.map((cell) => card(cell, row))));
    return element("tr", "more", inside);
  }

  function open(row, wanted) {
    if (wanted && !row.querySelector(".more")) row.append(details(row));
    row.classList.toggle("open", wanted);
    row.querySelector(".toggle").setAttribute("aria-expanded", String(wanted));
  }

  function haystack(row) {
    if (!haystacks.has(row)) {
      const [quote, , cells] = known[row.id];
      const inside = cells.flatMap((cell) => [cell[1], texts[cell[6]] ?? "", ...cell[7].flat().map((at) => texts[at])]);
      haystacks.set(row, plain([row.textContent, quote, inside.join(" ")].join(" ")));
    }
    return haystacks.get(row);
  }

  function plain(text) {
    return text.normalize("NFKC").toLowerCase();
  }

  function filter() {
    const wanted = plain(search.value).split(/\s+/).filter(Boolean);
    const chosen = Object.entries(selects).filter(([, select]) => select.value);
    let shown = 0;
    let [documentHead, partHead] = [null, null];
    for (const body of bodies) {
      if (body.classList.contains("heading")) {
        body.hidden = true;
        if (body.classList.contains("document")) documentHead = body;
        else partHead = body;
        continue;
      }
      body.hidden =
        !(!tag || body.dataset.tags.split(" ").includes(tag)) ||
        !chosen.every(([name, select]) => body.dataset[name].split(" ").includes(select.value)) ||
        !wanted.every((word) => haystack(body).includes(word));
      if (body.hidden) continue;
      shown += 1;
      if (!sorted) documentHead.hidden = partHead.hidden = false;
    }
    one("count").textContent = fill(words.count, { shown, rows: rows.length });
    one("nothing").hidden = shown > 0;
    table.parentElement.hidden = shown === 0;
    one("reset").hidden = !(tag || wanted.length || chosen.length);
  }

  function choose(name) {
    tag = name;
    for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.dataset.tag === tag));
    filter();
  }

  function reset() {
    search.value = "";
    for (const select of Object.values(selects)) select.value = "";
    choose("");
  }

  function compare(a, b, column, sign) {
    if (column === 4) return sign * (order.indexOf(a.dataset.tags.split(" ")[0]) - order.indexOf(b.dataset.tags.split(" ")[0]));
    const [x, y] = [a, b].map((row) => row.rows[0].cells[column].dataset);
    if (x.key === undefined || y.key === undefined) return (x.key === undefined) - (y.key === undefined);
    return x.of === y.of ? sign * (x.key - y.key) : x.of < y.of ? -1 : 1;
  }

  function sort(heading) {
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of all("th[aria-sort]", table)) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const column = heading.cellIndex;
    const sign = descending ? -1 : 1;
    sorted = column > 0 || descending;
    const placed = column === 0 ? (descending ? [...rows].reverse() : bodies) : [...rows].sort((a, b) => compare(a, b, column, sign));
    table.append(...placed);
    filter();
  }

  function follow() {
    const name = decodeURIComponent(location.hash.slice(1));
    for (const row of all(".marked")) row.classList.remove("marked");
    const row = home.get(name) ?? (one(name)?.matches("tbody.row") ? one(name) : null);
    if (!row) {
      if (one(name)?.hidden) {
        if (sorted) sort(table.tHead.rows[0].cells[0]);
        reset();
        one(name).scrollIntoView();
      }
      return;
    }
    if (row.hidden) reset();
    open(row, true);
    const target = one(name) ?? row;
    target.classList.add("marked");
    target.scrollIntoView();
  }

  for (const chip of chips) chip.addEventListener("click", () => choose(chip.dataset.tag));
  for (const select of Object.values(selects)) select.addEventListener("change", filter);
  for (const heading of all("th[data-sort]", table)) heading.firstElementChild.addEventListener("click", () => sort(heading));
  for (const row of rows) {
    const id = known[row.id][2].find((cell) => cell[0] === row.id)?.[1] ?? row.id;
    row.querySelector(".toggle").setAttribute("aria-label", fill(words.details, { id }));
    row.querySelector(".link").setAttribute("aria-label", fill(words.link, { id }));
  }
  table.addEventListener("click", (event) => {
    const line = event.target.closest(".line");
    if (!line || event.target.closest("a")) return;
    if (!event.target.closest(".toggle") && String(getSelection())) return;
    const row = line.parentElement;
    open(row, !row.classList.contains("open"));
  });
  search.addEventListener("input", filter);
  one("reset").addEventListener("click", reset);
  one("expand").addEventListener("click", (event) => {
    const wanted = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(wanted));
    event.currentTarget.textContent = wanted ? words.collapse : words.expand;
    for (const row of rows) open(row, wanted);
  });
  for (const link of all("#languages a")) link.addEventListener("click", () => (link.hash = location.hash));
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) follow();
  });
  const bar = document.querySelector(".bar");
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
