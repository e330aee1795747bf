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
