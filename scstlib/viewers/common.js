// What the viewers of scstlib.viewers share. A still picture becomes one to look around in.
const STYLE = `
  .scst-live { max-width: 46rem; margin: 0 auto; text-align: left; }
  .scst-bar { display: flex; flex-wrap: wrap; gap: 0.4rem 0.9rem; align-items: center; margin: 0.4rem 0; }
  .scst-bar label { display: inline-flex; gap: 0.4rem; align-items: center; margin: 0; }
  .scst-bar :is(button, select, input[type=number]) { font: inherit; color: inherit; border-radius: 0.25rem;
    background: transparent; border: 1px solid currentColor; min-height: 2rem; padding: 0 0.5rem; }
  .scst-bar option { color: CanvasText; background: Canvas; }
  .scst-bar input[type=number] { width: 5.5rem; }
  .scst-bar input[type=range] { flex: 1 1 10rem; min-width: 8rem; }
  .scst-bar .scst-grow { flex: 1 1 16rem; }
  .scst-bar .scst-wide { flex: 1 1 100%; }
  .scst-panels { display: grid; gap: 0.5rem; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); }
  .scst-panels canvas { display: block; width: 100%; }
  .scst-dot { display: inline-block; width: 0.8rem; height: 0.8rem; border-radius: 50%; }
  .scst-scale { flex: 1 1 6rem; max-width: 14rem; height: 0.8rem; border: 1px solid currentColor; }
  .scst-live p { margin: 0.3rem 0; min-height: 1.5em; }
  @media screen { .scst-viewer[data-live] .scst-still { display: none; } }
  @media print { .scst-live { display: none; } }`;
const FONT = "12px system-ui, sans-serif";

const make = (tag, properties = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};
const select = (label, names, chosen, change) => {
  const options = names.map((name, i) => make("option", { value: i, selected: i === chosen }, name));
  const box = make("select", { onchange: () => change(Number(box.value)) }, ...options);
  return make("label", {}, label, box);
};
const unpack = async (text) => {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};
const ticks = (low, high, most) => {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9; k++) found.push(k * step);
  return found.map((value) => [value, String(Number(value.toPrecision(6))).replace("-", "−")]);
};
const short = (value) =>
  value.toLocaleString("en-GB", { maximumSignificantDigits: 3 }).replace("-", "−");

// A canvas of the width that it has on the page, sharp on every screen, in the colour of the text.
const prepare = (canvas, height) => {
  const width = canvas.clientWidth, scale = window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = FONT;
  pen.fillStyle = pen.strokeStyle = getComputedStyle(canvas).color;
  return pen;
};
const axes = (pen, box, across, up, toX, toY) => {
  pen.strokeRect(box.left + 0.5, box.top + 0.5, box.width - 1, box.height - 1);
  pen.textAlign = "center";
  for (const [value, text] of across) {
    pen.fillRect(toX(value), box.top + box.height, 1, 4);
    pen.fillText(text, toX(value), box.top + box.height + 15);
  }
  pen.textAlign = "right";
  for (const [value, text] of up) {
    pen.fillRect(box.left - 4, toY(value), 4, 1);
    pen.fillText(text, box.left - 6, toY(value) + 4);
  }
  pen.textAlign = "left";
};
const redrawWhenSeenAnew = (node, draw) => {
  new ResizeObserver(draw).observe(node);
  const scheme = { attributes: true, attributeFilter: ["data-theme", "class"] };
  new MutationObserver(draw).observe(document.documentElement, scheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
};

// Every still picture of this kind that is not alive yet; without the means, it stays a picture.
const start = (kind, build) => {
  if (!("DecompressionStream" in window)) return;
  if (!document.getElementById("scst-viewer-style")) {
    document.head.append(make("style", { id: "scst-viewer-style" }, STYLE));
  }
  for (const root of document.querySelectorAll(`.scst-viewer[data-kind=${kind}]:not([data-live])`)) {
    root.dataset.live = "";
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const name = root.querySelector("img").alt || "Interactive figure";
    const live = make("div", { className: "scst-live", role: "group", "aria-label": name });
    root.append(live);
    build(data).then(([nodes, panels, draw]) => {
      live.append(...nodes);
      redrawWhenSeenAnew(panels, draw);
      draw();
    });
  }
};
