// Search summaries begin with the article, not with the buttons that stand above it.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const read = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const article = page.querySelector(".bd-article");
    return read(article ? `<div role="main">${article.innerHTML}</div>` : html, anchor);
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
