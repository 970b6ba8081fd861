// The front end of notebook.py: it draws what Python holds and says what a person did.

const VOID = 255;
const KEYS = "123456789";
const STEP = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PANELS = { image: "Image", map: "Map", confidence: "Confidence", disagreement: "Disagreement" };
const TRAITS = { map: "classes_map", confidence: "confidence", disagreement: "disagreement" };
const APART = "#d55e00"; // where learners disagree

function make(tag, props = {}, ...children) {
  const { data, aria, ...rest } = props;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, data);
  for (const [name, value] of Object.entries(aria ?? {})) node.setAttribute(`aria-${name}`, value);
  node.append(...children);
  return node;
}

function rgb(hex) {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

function painted(view, colours, w, h) {
  // One byte a pixel as a picture; void pixels and those without a colour stay clear.
  const target = make("canvas", { width: w, height: h });
  const pixels = new Uint32Array(w * h);
  const table = new Uint32Array(256);
  const bytes = new Uint8Array(table.buffer);
  colours.forEach((colour, i) => colour && bytes.set([...rgb(colour), 255], 4 * i));
  for (let i = 0; i < w * h; i++) pixels[i] = table[view.getUint8(i)];
  const data = new ImageData(new Uint8ClampedArray(pixels.buffer), w, h);
  target.getContext("2d").putImageData(data, 0, 0);
  return target;
}

function render({ model, el }) {
  const get = (name) => model.get(name);
  const say = (action, more = {}) => model.send({ do: action, ...more });
  const frame = get("frame");
  const legend = get("legend");
  const look = { x: 0, y: 0, zoom: 1 }; // upper left corner in pixels of the part, and magnification
  const pictures = {};
  let chosen = 0;
  const colours = { map: legend.map(([, colour]) => colour), confidence: get("ramp"), disagreement: [null, APART] };
  let cursor = null; // pixel of the part
  let wrong = false; // whether a click says that the map is wrong

  // ---- what is there ----
  const button = (text, act, title) => make("button", { type: "button", title, onclick: act }, text);
  const classes = legend.map(([name, colour], i) =>
    make(
      "button",
      {
        type: "button", className: "class", onclick: () => choose(i),
        title: `Label with ${name}${KEYS[i] ? ` (key ${KEYS[i]})` : ""}`,
      },
      make("span", { className: "swatch", style: `background:${colour}` }),
      make("span", { className: "name" }, name),
      make("span", { className: "count" }),
    ),
  );
  const undo = button("Undo", () => say("undo"), "Take the last change of the clicks back");
  const clear = button("Clear", () => say("clear"), "Take all clicks away (Undo brings them back)");
  const zoom = {
    in: button("+", () => magnify(2), "Closer (key +)"),
    out: button("−", () => magnify(0.5), "Further away (key -)"),
    all: button("Whole", () => magnify(0), "All of the image"),
  };
  const canvases = {};
  const figures = Object.entries(PANELS).map(([name, title]) => {
    canvases[name] = make("canvas", {
      tabIndex: 0, data: { panel: name },
      aria: {
        label: `${title}; arrow keys move the crosshair, Enter labels, Shift+Enter says wrong here, ` +
          "Delete takes away",
      },
    });
    canvases[name].setAttribute("role", "application");
    const caption = make("figcaption", {}, title);
    if (name === "confidence") {
      const ramp = `linear-gradient(to right, ${get("ramp").filter((_, i) => i % 10 === 0)})`;
      caption.append(
        make("span", { className: "scale" }, "0 %", make("i", { style: `background:${ramp}` }), "100 %"),
      );
    }
    const hint = make("p", { className: "hint" }, "Appears with the next map.");
    return make("figure", { data: { of: name } }, caption, make("div", { className: "stage" }, canvases[name], hint));
  });
  const readout = make("output", { className: "readout" });
  const toggle = (text, act, title) => make("button", { type: "button", className: "toggle", title, onclick: act }, text);
  const flip = (name) => {
    model.set(name, !get(name));
    model.save_changes();
  };
  const train = button("Map", () => say("train"), "Train on the clicks, and draw map and confidence");
  train.classList.add("main");
  const live = make("input", { type: "checkbox", onchange: () => flip("live") });
  const wrongHere = toggle("Wrong here", () => turn(!wrong), "A click gives the pixel the class that the map says second (Shift+click)");
  const compare = toggle("Disagreement", () => flip("compared"), "Show where two learners are sure of different classes");
  const message = make("span", { className: "message" });
  message.setAttribute("role", "status");
  const file = make("input", {
    type: "text", className: "file", value: get("file"), spellcheck: false, title: "GeoJSON file",
  });
  const save = button("Save", () => say("save", { file: file.value }), "Write the clicks as GeoJSON");
  const load = button("Load", () => say("load", { file: file.value }), "Take up the clicks of the file");
  const list = make("div", { className: "list" });
  const row = (...parts) => make("div", { className: "row" }, ...parts);
  const group = (...parts) => make("span", { className: "group" }, ...parts);
  const root = make(
    "div",
    { className: "fewlabels-explore", data: { lmSuppressShortcuts: "true" }, onkeydown: typed },
    row(group(group(...classes), group(wrongHere), group(undo, clear))),
    make("div", { className: "panels" }, ...figures),
    row(readout, group(zoom.out, zoom.in, zoom.all)),
    row(
      group(train, make("label", {}, live, "Map at every click"), compare),
      group(make("label", {}, "Clicks in ", file), save, load),
    ),
    message,
    list,
  );
  el.append(root);

  // ---- what is shown ----
  function turn(on) {
    wrong = on;
    wrongHere.setAttribute("aria-pressed", String(on));
  }

  function choose(i) {
    chosen = i;
    turn(false);
    classes.forEach((node, j) => {
      node.setAttribute("aria-pressed", String(i === j));
      node.style.setProperty("--class", legend[j][1]);
    });
    draw();
  }

  function draw() {
    const [w, h] = [frame.w / look.zoom, frame.h / look.zoom];
    for (const [name, canvas] of Object.entries(canvases)) {
      const sharp = window.devicePixelRatio || 1;
      const wide = Math.round(canvas.clientWidth * sharp);
      const high = Math.round((canvas.clientWidth * sharp * frame.h) / frame.w);
      if (!wide) continue;
      if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
      const to = canvas.getContext("2d");
      to.clearRect(0, 0, wide, high);
      to.imageSmoothingEnabled = w > wide; // a pixel that is drawn large keeps its edges
      if (name === "disagreement" && pictures[name] && pictures.image) {
        to.globalAlpha = 0.35; // the image, so that one sees where one is
        to.drawImage(pictures.image, look.x, look.y, w, h, 0, 0, wide, high);
        to.globalAlpha = 1;
      }
      if (pictures[name]) to.drawImage(pictures[name], look.x, look.y, w, h, 0, 0, wide, high);
      const scale = wide / w;
      const place = (x, y) => [(x + 0.5 - look.x) * scale, (y + 0.5 - look.y) * scale];
      if (cursor && (name === "image" || pictures[name])) cross(to, ...place(...cursor), wide, high, sharp);
      if (name === "confidence") continue;
      for (const [x, y, value] of name === "image" || pictures[name] ? get("points") : []) {
        dot(to, ...place(x - frame.x, y - frame.y), legend[value][1], (name === "map" ? 3 : 6) * sharp, sharp);
      }
    }
  }

  function dot(to, x, y, colour, radius, sharp) {
    to.beginPath();
    to.arc(x, y, radius, 0, 2 * Math.PI);
    to.fillStyle = colour;
    to.fill();
    for (const [edge, width] of [["#000a", 3], ["#fff", 1.5]]) {
      to.strokeStyle = edge;
      to.lineWidth = width * sharp;
      to.stroke();
    }
  }

  function cross(to, x, y, wide, high, sharp) {
    const gap = 7 * sharp;
    const lines = [[0, y, x - gap, y], [x + gap, y, wide, y], [x, 0, x, y - gap], [x, y + gap, x, high]];
    for (const [colour, width] of [["#0008", 3], ["#fffc", 1]]) {
      to.strokeStyle = colour;
      to.lineWidth = width * sharp;
      to.beginPath();
      for (const [x0, y0, x1, y1] of lines) to.moveTo(x0, y0), to.lineTo(x1, y1);
      to.stroke();
    }
  }

  function tell() {
    if (!cursor) {
      readout.textContent = "\u00a0";
      return;
    }
    const [x, y] = cursor;
    const here = `column ${x + frame.x}, row ${y + frame.y}`;
    const value = pictures.map ? get("classes_map").getUint8(y * frame.w + x) : VOID;
    const sure = value === VOID || !pictures.confidence ? 0 : get("confidence").getUint8(y * frame.w + x);
    readout.textContent = value === VOID ? here : `${here}: ${legend[value][0]}, ${sure} %`;
  }

  function showClicks() {
    const points = get("points");
    root.dataset.clicks = points.length;
    undo.disabled = !get("undoable");
    clear.disabled = !points.length;
    list.replaceChildren();
    legend.forEach(([name, colour], i) => {
      const own = points.filter(([, , value]) => value === i);
      classes[i].querySelector(".count").textContent = own.length;
      if (!own.length) return;
      const chips = own.map(([x, y]) =>
        make(
          "button",
          {
            type: "button", className: "chip", title: `Take this click away (${name})`,
            onclick: () => say("remove", { column: x, row: y }),
          },
          `${x}, ${y} ×`,
        ),
      );
      const swatch = make("span", { className: "swatch", style: `background:${colour}` });
      list.append(make("div", { className: "clicked" }, swatch, make("b", {}, name), ...chips));
    });
    draw();
  }

  function showState() {
    const busy = get("state") === "training";
    root.dataset.state = get("state");
    message.textContent = get("message");
    root.setAttribute("aria-busy", String(busy));
    train.disabled = busy;
  }

  function showSwitches() {
    live.checked = get("live");
    compare.setAttribute("aria-pressed", String(get("compared")));
    root.dataset.compared = get("compared");
    draw();
  }

  function showMap(name) {
    const found = get(TRAITS[name]);
    const there = found?.byteLength === frame.w * frame.h;
    canvases[name].closest("figure").dataset.drawn = there;
    pictures[name] = there && painted(found, colours[name], frame.w, frame.h);
    draw();
    tell();
  }

  // ---- what a person does ----
  function pixel(canvas, event) {
    const box = canvas.getBoundingClientRect();
    const along = (at, size, all, start) => Math.floor(start + (at / size) * (all / look.zoom));
    const x = along(event.clientX - box.left, box.width, frame.w, look.x);
    const y = along(event.clientY - box.top, box.height, frame.h, look.y);
    return [Math.min(Math.max(x, 0), frame.w - 1), Math.min(Math.max(y, 0), frame.h - 1)];
  }

  function label([x, y], isWrong) {
    const at = { column: x + frame.x, row: y + frame.y };
    if (isWrong || wrong) say("wrong", at);
    else say("add", { ...at, name: legend[chosen][0] });
  }

  function within() {
    look.x = Math.min(Math.max(look.x, 0), frame.w - frame.w / look.zoom);
    look.y = Math.min(Math.max(look.y, 0), frame.h - frame.h / look.zoom);
    zoom.out.disabled = zoom.all.disabled = look.zoom === 1;
    zoom.in.disabled = look.zoom >= 32;
    draw();
  }

  function magnify(times, around) {
    const [w, h] = [frame.w / look.zoom, frame.h / look.zoom];
    const [x, y] = around ?? cursor ?? [look.x + w / 2, look.y + h / 2];
    const next = times ? Math.min(Math.max(look.zoom * times, 1), 32) : 1;
    look.x = x - ((x - look.x) * look.zoom) / next;
    look.y = y - ((y - look.y) * look.zoom) / next;
    look.zoom = next;
    within();
  }

  function move(to) {
    cursor = to;
    draw();
    tell();
  }

  function typed(event) {
    event.stopPropagation();
    if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
    const over = event.target.tagName === "CANVAS";
    const key = event.key;
    if (legend[KEYS.indexOf(key)]) choose(KEYS.indexOf(key));
    else if (key === "+" || key === "-") magnify(key === "+" ? 2 : 0.5);
    else if (over && STEP[key]) {
      const [x, y] = cursor ?? [Math.floor(frame.w / 2), Math.floor(frame.h / 2)];
      const far = event.shiftKey ? 10 : 1;
      const next = [x + far * STEP[key][0], y + far * STEP[key][1]];
      move([Math.min(Math.max(next[0], 0), frame.w - 1), Math.min(Math.max(next[1], 0), frame.h - 1)]);
    } else if (over && cursor && (key === "Enter" || key === " ")) label(cursor, event.shiftKey);
    else if (over && cursor && (key === "Delete" || key === "Backspace"))
      say("remove", { column: cursor[0] + frame.x, row: cursor[1] + frame.y });
    else return;
    event.preventDefault();
  }

  for (const canvas of Object.values(canvases)) {
    let held = null; // where the pointer went down, and the corner then
    canvas.onpointerdown = (event) => {
      if (event.button) return;
      held = { x: event.clientX, y: event.clientY, from: { ...look }, moved: false };
      canvas.setPointerCapture(event.pointerId);
    };
    canvas.onpointermove = (event) => {
      if (held) {
        const box = canvas.getBoundingClientRect();
        const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
        held.moved ||= Math.hypot(dx, dy) > 4;
        if (held.moved) {
          look.x = held.from.x - ((dx / box.width) * frame.w) / look.zoom;
          look.y = held.from.y - ((dy / box.height) * frame.h) / look.zoom;
          within();
        }
      }
      move(pixel(canvas, event));
    };
    canvas.onpointerup = (event) => {
      if (held && !held.moved) label(pixel(canvas, event), event.shiftKey);
      held = null;
    };
    canvas.onpointercancel = () => (held = null);
    canvas.onpointerleave = () => move(null);
    canvas.onwheel = (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // else the page scrolls
      event.preventDefault();
      magnify(event.deltaY < 0 ? 1.25 : 0.8, pixel(canvas, event));
    };
  }

  const observer = new ResizeObserver(draw);
  for (const canvas of Object.values(canvases)) {
    canvas.style.aspectRatio = `${frame.w} / ${frame.h}`;
    observer.observe(canvas);
  }
  model.on("change:points", showClicks);
  model.on("change:undoable", showClicks);
  for (const name of ["state", "message"]) model.on(`change:${name}`, showState);
  for (const name of ["live", "compared"]) model.on(`change:${name}`, showSwitches);
  for (const name of Object.keys(TRAITS)) model.on(`change:${TRAITS[name]}`, () => showMap(name));
  model.on("change:file", () => (file.value = get("file")));
  createImageBitmap(new Blob([get("image")], { type: "image/png" })).then((found) => {
    pictures.image = found;
    root.dataset.shown = "true";
    draw();
  });
  choose(0);
  showClicks();
  showState();
  Object.keys(TRAITS).forEach(showMap);
  showSwitches();
  within();
  tell();
  return () => observer.disconnect();
}

export default { render };
