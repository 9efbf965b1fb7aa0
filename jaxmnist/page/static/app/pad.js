// The paper to write on: with a mouse, a finger, a pen or the keyboard.

const INK = "#1d2433";
const PAPER = "#ffffff";
const WIDTH = 20; // of the pen, in pixels of the canvas
const [STEP, LEAP] = [10, 40]; // of the keyboard's pen
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Makes a canvas a pad. What happened is a list of strokes, pictures and clearings, and undoing
// takes the last one away; `onChange` is called when what is seen has changed.
export function createPad(canvas, cursor, onChange) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const actions = [];
  let pointer = null; // that draws now
  const pen = { x: canvas.width / 2, y: canvas.height / 2, isDown: false }; // the keyboard's

  function seen() {
    const start = actions.findLastIndex(({ kind }) => kind !== "stroke");
    return actions.slice(Math.max(start, 0)).filter(({ kind }) => kind !== "clear");
  }

  function redraw() {
    context.fillStyle = PAPER;
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (const action of seen()) {
      if (action.kind === "picture") drawPicture(action.bitmap);
      else action.points.forEach((point, i) => drawSegment(action.points[Math.max(i - 1, 0)], point));
    }
  }

  function drawPicture(bitmap) {
    const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const [x, y] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
    context.drawImage(bitmap, x, y, width, height);
  }

  function drawSegment(from, to) {
    context.strokeStyle = INK;
    context.lineWidth = WIDTH;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
  }

  function begin(point) {
    actions.push({ kind: "stroke", points: [point] });
    drawSegment(point, point);
  }

  function goOn(point) {
    const { points } = actions[actions.length - 1];
    drawSegment(points[points.length - 1], point);
    points.push(point);
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * canvas.width,
      y: ((event.clientY - box.top) / box.height) * canvas.height,
    };
  }

  function liftPen() {
    if (pen.isDown) onChange();
    pen.isDown = false;
    showCursor();
  }

  function showCursor() {
    cursor.style.left = `${(100 * pen.x) / canvas.width}%`;
    cursor.style.top = `${(100 * pen.y) / canvas.height}%`;
    cursor.classList.toggle("down", pen.isDown);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;
    liftPen();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    begin(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) goOn(place(each));
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      onChange();
    });
  }
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = event.shiftKey ? LEAP : STEP;
      pen.x = Math.min(Math.max(pen.x + arrow[0] * step, 0), canvas.width);
      pen.y = Math.min(Math.max(pen.y + arrow[1] * step, 0), canvas.height);
      if (pen.isDown) goOn({ x: pen.x, y: pen.y });
    } else if (event.key === " ") {
      if (pen.isDown) {
        liftPen();
      } else {
        begin({ x: pen.x, y: pen.y });
        pen.isDown = true;
      }
    } else {
      return;
    }
    event.preventDefault();
    showCursor();
  });
  canvas.addEventListener("blur", liftPen);
  redraw();
  showCursor();

  return {
    undo() {
      pen.isDown = false;
      if (!actions.pop()) return;
      redraw();
      onChange();
    },
    clear() {
      pen.isDown = false;
      if (!seen().length) return;
      actions.push({ kind: "clear" });
      redraw();
      onChange();
    },
    // Shows a picture that was read from a file.
    show(file, bitmap) {
      actions.push({ kind: "picture", file, bitmap });
      redraw();
    },
    // Returns what is to be read: a file, if nothing was written on it, pixels, or null.
    content() {
      const shown = seen();
      if (!shown.length) return null;
      if (shown.length === 1 && shown[0].kind === "picture") return shown[0].file;
      return context.getImageData(0, 0, canvas.width, canvas.height);
    },
    canUndo: () => actions.length > 0,
  };
}
