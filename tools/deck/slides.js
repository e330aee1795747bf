// One slide at a time: arrow keys, Page Up and Down, Space, Home, End, or the two buttons.
const slides = [...document.querySelectorAll(".deck > section")];
const count = document.getElementById("at");
let at = 0;

function show(number) {
  at = Math.max(0, Math.min(slides.length - 1, number));
  slides.forEach((slide, i) => { slide.hidden = i !== at; });
  count.textContent = `${at + 1} / ${slides.length}`;
  history.replaceState(null, "", `#${at + 1}`);
  scrollTo(0, 0);
}

const fromAddress = () => show((parseInt(location.hash.slice(1), 10) || 1) - 1);
const steps = {
  ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1,
  ArrowLeft: -1, ArrowUp: -1, PageUp: -1,
  Home: -Infinity, End: Infinity,
};

document.addEventListener("keydown", (event) => {
  const onButton = event.key === " " && event.target.closest("button, a");
  if (!(event.key in steps) || onButton || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  show(at + steps[event.key]);
});
document.getElementById("on").addEventListener("click", () => show(at + 1));
document.getElementById("back").addEventListener("click", () => show(at - 1));
addEventListener("hashchange", fromAddress);
document.body.classList.add("scripted");
fromAddress();
