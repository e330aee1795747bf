// Contact maps: zoom, two of them side by side or by wiping, genes and tracks below.
const picture = (levels, size, colors) => {
  const canvas = make("canvas", { width: size, height: size });
  const image = new ImageData(size, size);
  for (let distance = 0, k = 0; distance < size; distance++) {
    for (let i = 0; i + distance < size; i++, k++) {
      const rgb = levels[k] ? colors.subarray(3 * levels[k] - 3, 3 * levels[k]) : [255, 255, 255];
      for (const at of [i * size + i + distance, (i + distance) * size + i]) {
        image.data.set(rgb, 4 * at);
        image.data[4 * at + 3] = 255;
      }
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
};

const maps = async (data) => {
  const { size, start, end, levels: top, tracks, genes } = data;
  const mb = (end - start) / size / 1e6;
  const place = (bin) => start / 1e6 + bin * mb;
  const colors = await unpack(data.colors);
  const values = await Promise.all(data.maps.map((map) => unpack(map.levels)));
  const pictures = values.map((levels) => picture(levels, size, colors));
  const heights = await Promise.all(tracks.map((track) => unpack(track.levels)));
  const view = { x: 0, y: 0, span: size, one: 0, two: Math.min(1, data.maps.length - 1), wipe: false, cut: 0.5 };
  const value = (level) => {
    if (!level) return "no value";
    const part = data.low + ((level - 1) / (top - 1)) * (data.high - data.low);
    const edge = { 1: "≤ ", [top]: "≥ " }[level] || "";
    return edge + short(data.log ? 10 ** part : part);
  };
  const at = (map, i, j) => {
    const distance = Math.abs(i - j);
    return value(values[map][distance * size - (distance * (distance - 1)) / 2 + Math.min(i, j)]);
  };

  const canvases = [0, 1].map(() => make("canvas", { tabIndex: 0, role: "img" }));
  const panels = make("div", { className: "scst-panels" }, ...canvases);
  const told = make("p");
  const from = make("input", { type: "number", step: "any" }), to = from.cloneNode();
  const wipe = make("input", { type: "range", min: 0, max: 100, value: 50 });
  const wiping = make("label", { className: "scst-wide", hidden: true }, "Border", wipe);
  const names = data.maps.map((map) => map.name);
  const hint = "Point at the map for its values. Click to zoom in, drag or use the arrow keys to move.";

  const boxOf = (canvas) => {
    const size = canvas.clientWidth - 54;
    return { left: 42, top: 20, width: size, height: size };
  };
  const panel = (canvas, shown) => {
    const box = boxOf(canvas), scale = box.width / view.span;
    const pen = prepare(canvas, box.width + 48 + (genes.length ? 56 : 0) + 48 * tracks.length);
    const ink = pen.fillStyle, toX = (bin) => box.left + (bin - view.x) * scale;
    pen.imageSmoothingEnabled = false;
    const border = box.left + view.cut * box.width;
    shown.forEach((map, k) => {
      pen.save();
      pen.beginPath();
      if (shown.length === 1) pen.rect(box.left, 0, box.width, box.top + box.height);
      else if (k) pen.rect(border, 0, box.width, box.top + box.height);
      else pen.rect(0, 0, border, box.top + box.height);
      pen.clip();
      const area = [view.x, view.y, view.span, view.span, box.left, box.top, box.width, box.height];
      pen.drawImage(pictures[map], ...area);
      pen.restore();
      pen.textAlign = k ? "right" : "left";
      pen.fillText(names[map], k ? box.left + box.width : box.left, 14);
      pen.textAlign = "left";
    });
    pen.fillStyle = "#000";
    if (shown.length > 1) pen.fillRect(border - 1, box.top, 2, box.height);
    pen.fillStyle = ink;
    const bins = (low) => ticks(place(low), place(low + view.span), 5)
      .map(([x, text]) => [(x - start / 1e6) / mb, text]);
    axes(pen, box, bins(view.x), bins(view.y), toX, (bin) => box.top + (bin - view.y) * scale);
    pen.fillText("Mb", 2, box.top + box.height + 15);
    let top = box.top + box.height + 26;
    pen.save();
    pen.beginPath();
    pen.rect(box.left, top, box.width, 400);
    pen.clip();
    if (genes.length) top = drawGenes(pen, box, toX, top);
    tracks.forEach((track, k) => (top = drawTrack(pen, track, heights[k], toX, top, scale)));
    pen.restore();
    const region = `${short(place(view.x))} to ${short(place(view.x + view.span))} Mb`;
    canvas.setAttribute("aria-label", `${shown.map((m) => names[m]).join(" and ")}, ${region}. `
      + "Arrow keys move, plus and minus zoom, 0 shows all.");
    canvas.style.touchAction = view.span < size ? "none" : "manipulation";
  };
  // Names where there is room, a mark for every gene.
  const drawGenes = (pen, box, toX, top) => {
    const ends = [-1, -1, -1];
    for (const [first, last, name, strand] of genes) {
      const left = toX(first), width = Math.max(1.5, toX(last) - left);
      if (left + width < box.left || left > box.left + box.width) continue;
      pen.globalAlpha = 0.6;
      pen.fillRect(left, top + 2, width, 6);
      pen.globalAlpha = 1;
      const text = strand === "-" ? `‹${name}` : strand === "+" ? `${name}›` : name;
      const x = Math.max(left, box.left), row = ends.findIndex((end) => end < x);
      if (row < 0 || x + pen.measureText(text).width > box.left + box.width) continue;
      pen.fillText(text, x, top + 20 + 13 * row);
      ends[row] = x + pen.measureText(text).width + 6;
    }
    return top + 56;
  };
  const drawTrack = (pen, track, levels, toX, top, scale) => {
    const ink = pen.fillStyle, y = (part) => top + 44 - 28 * part;
    const zero = Math.min(1, Math.max(0, -track.low / (track.high - track.low)));
    for (let i = Math.floor(view.x); i < Math.min(size, view.x + view.span); i++) {
      if (!levels[i]) continue;
      const part = (levels[i] - 1) / 254;
      pen.fillStyle = part < zero ? "#0072B2" : "#E69F00";
      pen.fillRect(toX(i), y(Math.max(part, zero)), scale + 0.4, 28 * Math.abs(part - zero));
    }
    pen.fillStyle = ink;
    pen.fillText(`${track.name} (${short(track.low)} to ${short(track.high)})`, toX(view.x), top + 11);
    return top + 48;
  };
  const draw = () => {
    canvases[1].hidden = view.wipe || data.maps.length < 2;
    canvases[1].style.display = canvases[1].hidden ? "none" : "";
    wiping.hidden = !view.wipe;
    wiping.style.display = view.wipe ? "" : "none";
    if (view.wipe) panel(canvases[0], [view.one, view.two]);
    else [view.one, view.two].forEach((map, k) => canvases[k].hidden || panel(canvases[k], [map]));
    from.value = Number(place(view.x).toPrecision(5));
    to.value = Number(place(view.x + view.span).toPrecision(5));
  };
  const show = (x, y, span) => {
    view.span = Math.min(size, Math.max(Math.min(8, size), span));
    const kept = (low) => Math.min(size - view.span, Math.max(0, low));
    Object.assign(view, { x: kept(x), y: kept(y) });
    draw();
  };
  const zoom = (factor, px = 0.5, py = 0.5) => {
    const span = Math.min(size, Math.max(Math.min(8, size), view.span * factor));
    show(view.x + (view.span - span) * px, view.y + (view.span - span) * py, span);
  };
  const whole = () => show(0, 0, size);
  const region = () => {
    const low = (from.value - start / 1e6) / mb, high = (to.value - start / 1e6) / mb;
    if (high > low) show(low, low, high - low);
  };
  from.onchange = to.onchange = region;
  wipe.oninput = () => { view.cut = wipe.value / 100; draw(); };
  const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  for (const canvas of canvases) {
    const spot = (event) => {
      const box = boxOf(canvas);
      return [(event.offsetX - box.left) / box.width, (event.offsetY - box.top) / box.height];
    };
    let held = null;
    canvas.onkeydown = (event) => {
      const [dx, dy] = keys[event.key] || [0, 0];
      if (dx || dy) show(view.x + (dx * view.span) / 8, view.y + (dy * view.span) / 8, view.span);
      else if ("+=".includes(event.key)) zoom(0.5);
      else if (event.key === "-") zoom(2);
      else if (event.key === "0") whole();
      else return;
      event.preventDefault();
    };
    canvas.onpointerdown = (event) => {
      held = { at: spot(event), x: view.x, y: view.y, moved: false };
      canvas.setPointerCapture(event.pointerId);
    };
    canvas.onpointerup = (event) => {
      const [px, py] = spot(event);
      if (held && !held.moved && px > 0 && px < 1 && py > 0 && py < 1) zoom(0.5, px, py);
      held = null;
    };
    canvas.onpointercancel = () => (held = null);
    canvas.onpointermove = (event) => {
      const [px, py] = spot(event);
      if (held && Math.hypot(px - held.at[0], py - held.at[1]) > 0.02) held.moved = true;
      if (held?.moved) {
        show(held.x - (px - held.at[0]) * view.span, held.y - (py - held.at[1]) * view.span, view.span);
      }
      const i = Math.floor(view.x + px * view.span), j = Math.floor(view.y + py * view.span);
      if (px < 0 || px >= 1 || py < 0 || py >= 1) return (told.textContent = hint);
      const here = genes.filter((gene) => gene[0] < i + 1 && gene[1] >= i).map((gene) => gene[2]);
      const more = here.length > 4 ? ` and ${here.length - 4} more` : "";
      const found = [...new Set([view.one, view.two])].map((map) => `${names[map]} ${at(map, i, j)}`);
      told.textContent = `${short(place(i))} and ${short(place(j))} Mb: ${found.join(", ")}`
        + (here.length ? `. Genes: ${here.slice(0, 4).join(", ")}${more}` : "");
    };
    canvas.onpointerleave = () => (told.textContent = hint);
  }

  const stops = [0, 0.25, 0.5, 0.75, 1].map((part) => Math.round(part * (top - 1)) * 3)
    .map((k) => `rgb(${colors.slice(k, k + 3).join(",")})`);
  const scale = make("span", { className: "scst-scale" });
  scale.style.background = `linear-gradient(to right, ${stops.join(",")})`;
  const [low, high] = [data.low, data.high].map((x) => short(data.log ? 10 ** x : x));
  const bars = [
    make("div", { className: "scst-bar" },
      ...(names.length > 1 ? [
        select("Left", names, view.one, (k) => { view.one = k; draw(); }),
        select("Right", names, view.two, (k) => { view.two = k; draw(); }),
        select("Compare", ["side by side", "by wiping"], 0, (k) => { view.wipe = k === 1; draw(); }),
      ] : []), wiping),
    make("div", { className: "scst-bar" },
      make("button", { type: "button", onclick: () => zoom(0.5) }, "Zoom in"),
      make("button", { type: "button", onclick: () => zoom(2) }, "Zoom out"),
      make("button", { type: "button", onclick: whole }, "Whole map"),
      make("label", {}, "From", from), make("label", {}, "to (Mb)", to)),
  ];
  told.textContent = hint;
  const legend = make("div", { className: "scst-bar" },
    make("span", {}, data.label), make("span", {}, low), scale, make("span", {}, high));
  return [[...bars, panels, legend, told], panels, draw];
};

start("maps", maps);
