// A search result says what its page is about, and one for a heading what the text below it says:
// never the buttons above the article, and never code.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const { htmlToText: read, makeSearchSummary: summarise } = Search;
  const parse = (html) => new DOMParser().parseFromString(html, "text/html");
  Search.htmlToText = (html, anchor) => {
    const article = parse(html).querySelector(".bd-article");
    if (!article) return read(html, anchor);
    article.querySelectorAll(".cell_input, pre").forEach((code) => code.remove());
    return read(`<div role="main">${article.innerHTML}</div>`, anchor);
  };
  Search.makeSearchSummary = (html, keywords, anchor) => {
    const about = parse(html).querySelector("meta[name=description]");
    if (!about || anchor) return summarise(html, keywords, anchor);
    const summary = document.createElement("p");
    summary.className = "context";
    summary.textContent = about.content;
    return summary;
  };
});

// A table that scrolls can be reached and scrolled with the keyboard.
const reachable = () =>
  document.querySelectorAll(".bd-article table").forEach((table) => {
    if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
    else table.removeAttribute("tabindex");
  });
document.addEventListener("DOMContentLoaded", reachable);
window.addEventListener("resize", reachable);

// A long table sorts by any column: downwards, upwards, as it was. A very long one can be filtered.
const LONG = 5, VERY_LONG = 15;
const numberOf = (text) => parseFloat(text.replaceAll(",", "").replace("−", "-").replace(/^[^\d-]+/, ""));
const sortable = (table) => {
  const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
  const body = table.tBodies[0];
  if (!heads.length || !body || body.rows.length < LONG || table.querySelector("[colspan], [rowspan]")) return;
  const before = [...body.rows];
  heads.forEach((head, column) => {
    const text = (row) => row.cells[column]?.textContent.trim() ?? "";
    if (!head.textContent.trim()) return;
    const numbers = before.map((row) => numberOf(text(row)));
    const numeric = numbers.filter(Number.isFinite).length > before.length / 2;
    const value = (row) => (numeric ? numberOf(text(row)) : text(row));
    const missing = (row) => (numeric ? !Number.isFinite(value(row)) : !value(row));
    const compare = (a, b) => (numeric ? value(a) - value(b) : value(a).localeCompare(value(b)));
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = { descending: "ascending", ascending: "" }[head.getAttribute("aria-sort")] ?? "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (order) head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const sorted = (a, b) => missing(a) - missing(b) || (missing(a) ? 0 : sign * compare(a, b));
      body.append(...(order ? [...before].sort(sorted) : before));
    });
  });
  if (body.rows.length < VERY_LONG) return;
  const label = document.createElement("label");
  const input = document.createElement("input");
  label.className = "filter";
  input.type = "search";
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of before) {
      row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    }
  });
  label.append("Show rows with", input);
  table.before(label);
};
document.addEventListener("DOMContentLoaded", () =>
  document.querySelectorAll(".bd-article table:not(.autosummary)").forEach(sortable));

// On paper nothing can be unfolded, and the paper is white.
let folded = [];
let theme = null;
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll(".bd-article details:not([open])")];
  folded.forEach((details) => (details.open = true));
  theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
window.addEventListener("afterprint", () => {
  folded.forEach((details) => (details.open = false));
  document.documentElement.dataset.theme = theme;
});
