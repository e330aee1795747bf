// Populations of cells in two coordinates, and a slider over time.
const populations = async (data) => {
  const points = await Promise.all(data.layers.map(async (layer) => {
    const bytes = await unpack(layer.points);
    const all = new Uint16Array(bytes.buffer), frames = [];
    for (let k = 0, start = 0; k < layer.counts.length; start += 2 * layer.counts[k++]) {
      frames.push(all.subarray(start, start + 2 * layer.counts[k]));
    }
    return frames;
  }));
  const canvas = make("canvas", { role: "img" });
  const told = make("output"), shown = data.layers.map((layer) => layer.shown);
  const last = data.times.length - 1;
  const slider = make("input", { type: "range", min: 0, max: last, step: 1, value: data.first });
  const [x0, x1, y0, y1] = data.limits;
  const draw = () => {
    const now = Number(slider.value), width = canvas.clientWidth - 60;
    const box = { left: 56, top: 8, width, height: Math.round(0.75 * width) };
    const pen = prepare(canvas, box.height + 48);
    const toX = (x) => box.left + ((x - x0) / (x1 - x0)) * box.width;
    const toY = (y) => box.top + ((y1 - y) / (y1 - y0)) * box.height;
    axes(pen, box, ticks(x0, x1, 6), ticks(y0, y1, 6), toX, toY);
    pen.textAlign = "center";
    pen.fillText(data.labels[0], box.left + box.width / 2, box.top + box.height + 34);
    pen.translate(12, box.top + box.height / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(data.labels[1], 0, 0);
    pen.rotate(Math.PI / 2);
    pen.translate(-12, -box.top - box.height / 2);
    pen.globalAlpha = 0.6;
    data.layers.forEach((layer, k) => {
      if (!shown[k]) return;
      pen.fillStyle = layer.color;
      for (let i = 0, frame = points[k][now]; i < frame.length; i += 2) {
        const x = box.left + (frame[i] / 65535) * box.width;
        const y = box.top + (1 - frame[i + 1] / 65535) * box.height;
        pen.beginPath();
        pen.arc(x, y, 2.6, 0, 7);
        pen.fill();
      }
    });
    const note = data.notes[now] ? `, ${data.notes[now]}` : "";
    const counts = data.layers.map((layer, k) => `${layer.name} ${layer.counts[now] || "none"}`);
    const cells = counts.filter((_, k) => shown[k]).join(", ");
    told.textContent = `${short(data.times[now])} ${data.unit}${note}`;
    slider.setAttribute("aria-valuetext", told.textContent);
    canvas.setAttribute("aria-label", `Cells at ${told.textContent}: ${cells}`);
  };
  slider.oninput = draw;
  const boxes = data.layers.map((layer, k) => {
    const box = make("input", { type: "checkbox", checked: layer.shown });
    box.onchange = () => { shown[k] = box.checked; draw(); };
    const dot = make("span", { className: "scst-dot" });
    dot.style.background = layer.color;
    return make("label", {}, box, dot, layer.name);
  });
  let timer = null;
  const play = make("button", { type: "button" }, "Play");
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  play.onclick = () => {
    if (timer) return stop();
    if (Number(slider.value) === last) slider.value = 0;
    play.textContent = "Stop";
    draw();
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      if (Number(slider.value) >= last) stop();
      draw();
    }, 700);
  };
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const panels = make("div", { className: "scst-panels" }, canvas);
  return [[
    make("div", { className: "scst-bar" }, make("label", { className: "scst-grow" }, "Time", slider),
      told, ...(still ? [] : [play])),
    make("div", { className: "scst-bar", role: "group", "aria-label": "Populations shown" }, ...boxes),
    panels,
  ], panels, draw];
};

start("populations", populations);
