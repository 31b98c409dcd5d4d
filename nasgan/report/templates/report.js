"use strict";
document.documentElement.classList.add("js");

// Rows in groups have a heading above them; it takes no part in sorting.
const headingOf = (body) => body.querySelector("tr.heading");
const rowsOf = (body) => Array.from(body.rows).filter((row) => row !== headingOf(body));

// Sorting: every header becomes a button; rows without a value stay at the end of their group.
function sortKey(cell) {
  if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
  const text = cell.firstChild ? cell.firstChild.textContent.trim().toLowerCase() : "";
  return text === "" ? null : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function sortBy(table, column, descending) {
  for (const body of table.tBodies) {
    const rows = rowsOf(body).map((row) => [sortKey(row.cells[column]), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return descending ? compare(b, a) : compare(a, b);
    });
    body.append(...rows.map(([, row]) => row));
  }
  Array.from(table.tHead.rows[0].cells).forEach((header, k) => {
    if (k === column) header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else header.removeAttribute("aria-sort");
  });
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () =>
      sortBy(table, column, header.getAttribute("aria-sort") === "ascending"));
    header.replaceChildren(button);
  });
}

// Filters: free text, and one choice for each of some columns.
function applyFilters(filters) {
  const table = document.getElementById(filters.dataset.for);
  const phrase = filters.querySelector("[data-find]").value.trim().toLowerCase();
  const words = phrase.split(/\s+/);
  const choices = Array.from(filters.querySelectorAll("select"));
  let count = 0;
  let total = 0;
  for (const body of table.tBodies) {
    const heading = headingOf(body);
    const rows = rowsOf(body);
    const isAbove = heading !== null && heading.textContent.toLowerCase().includes(phrase);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const isFound = isAbove || words.every((word) => text.includes(word));
      const fits = isFound && choices.every((choice) => choice.value === "" ||
        row.cells[Number(choice.dataset.column)].firstChild?.textContent.trim() === choice.value);
      row.hidden = !fits;
      count += fits;
    }
    total += rows.length;
    if (heading) heading.hidden = rows.every((row) => row.hidden);
  }
  filters.querySelector("[data-count]").textContent =
    count === total ? `${total} rows` : `${count} of ${total} rows`;
}

for (const filters of document.querySelectorAll(".filters")) {
  filters.addEventListener("input", () => applyFilters(filters));
  applyFilters(filters);
}

// What is wider than its place fades out at the side on which there is more.
for (const box of document.querySelectorAll(".scroll")) {
  const look = () => {
    box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  };
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
}

// What a point stands for, told at once where it is pointed at or touched.
const tip = document.getElementById("tip");
for (const title of document.querySelectorAll("svg title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove();
}

function showTip(event) {
  const target = event.target.closest ? event.target.closest("[data-tip]") : null;
  tip.hidden = target === null;
  if (target === null) return;
  tip.textContent = target.dataset.tip;
  const box = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 12, document.documentElement.clientWidth - box.width - 8);
  const below = event.clientY + 16 + box.height < innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below ? event.clientY + 16 : event.clientY - box.height - 12}px`;
}
addEventListener("pointermove", showTip);
addEventListener("pointerdown", showTip);
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

// A live page asks whether anything has changed, and keeps the reader's place when it has.
const digest = document.body.dataset.digest;
if (digest !== undefined) {
  const place = "nasgan-report-place";
  history.scrollRestoration = "manual";
  const topOf = (section) => section.getBoundingClientRect().top;
  // The place is told by the section that is read: what stands above it may grow.
  const reading = () =>
    Array.from(document.querySelectorAll("section[id]")).findLast((s) => topOf(s) < 1);
  const keepAt = (section, top) => {
    if (section) scrollBy({ top: topOf(section) - top, behavior: "instant" });
  };
  const stateOf = () => ({
    section: reading()?.id,
    top: reading() ? topOf(reading()) : 0,
    open: Array.from(document.querySelectorAll("details"), (d) => d.open),
    tabs: Array.from(document.querySelectorAll("input[type=radio]:checked"), (i) => i.id),
    find: Array.from(document.querySelectorAll(".filters :is(input, select)"), (i) => i.value),
  });
  const restore = (state) => {
    document.querySelectorAll("details").forEach((d, k) => {
      if (state.open[k] !== undefined) d.open = state.open[k];
    });
    for (const id of state.tabs) {
      const tab = document.getElementById(id);
      if (tab) tab.checked = true;
    }
    document.querySelectorAll(".filters :is(input, select)").forEach((input, k) => {
      if (state.find[k]) input.value = state.find[k];
    });
    document.querySelectorAll(".filters").forEach(applyFilters);
    keepAt(document.getElementById(state.section), state.top);
  };
  try {
    const kept = JSON.parse(sessionStorage.getItem(place));
    if (kept) restore(kept);
    sessionStorage.removeItem(place);
  } catch { /* a browser that keeps nothing starts at the top */ }
  const badge = document.querySelector(".live");
  let lastJobs = "";
  const ask = async () => {
    try {
      const answer = await fetch("/digest", { cache: "no-store" });
      const now = (await answer.text()).trim();
      badge.textContent = "live";
      badge.classList.remove("lost");
      const going = await fetch("/jobs", { cache: "no-store" });
      const jobs = await going.text();
      if (going.ok && jobs !== lastJobs) {
        const section = reading();
        const top = section ? topOf(section) : 0;
        // Their HTML is the server's own: what comes from files is escaped in it as in the page.
        document.getElementById("jobs").innerHTML = jobs;
        if (section?.id !== "jobs") keepAt(section, top);
        lastJobs = jobs;
      }
      const isTyping = document.activeElement.matches("input[type=search]");
      if (answer.ok && now !== digest && !isTyping) {
        try { sessionStorage.setItem(place, JSON.stringify(stateOf())); } catch { /* as above */ }
        location.reload();
        return;
      }
    } catch {
      badge.textContent = "server gone";
      badge.classList.add("lost");
    }
    setTimeout(ask, 2000);
  };
  setTimeout(ask, 2000);
}
