let courseOf = new Map();
const hidden = new Set();  // numbers of candidates

// An exponential mean that starts without a bias to zero (as Adam's): only for the eye, and off unless asked for.
function smoothed(values, weight) {
  if (!weight) return values;
  let sum = 0;
  let mass = 0;
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}

function shownCourses() {
  const most = Number($('curves-most').value);
  const axis = $('curves-axis').value;  // along which not every candidate's place is known
  return passing.filter((place) => courseOf.get(place)?.[axis]).slice(0, most);
}

function splitsShown(kind) {
  const wanted = $('curves-split').value;
  const splits = wanted === 'both' ? ['train', 'val'] : [wanted];
  return splits.map((split) => `${split}_${kind}`);
}

function curveTraces(kind, axis) {
  const times = kind === 'accuracy' ? 100 : 1;
  const weight = Number($('curves-smoothing').value);
  const traces = [];
  for (const place of shownCourses()) {
    if (hidden.has(number(place))) continue;
    const course = courseOf.get(place);
    const style = look(place);
    for (const metric of splitsShown(kind)) {
      const curve = course.metrics[metric];
      if (!curve) continue;
      const x = course[axis.key].slice(0, curve[0].length).map((value) => value / axis.size);
      const [mean, low, high] = curve.map((values) => smoothed(values, weight).map((value) => times * value));
      if (low && mean.length > 1) {
        traces.push({
          type: 'scatter', mode: 'lines', uid: `c${place}`, x: [...x, ...x.slice().reverse()], y: [...high, ...low.slice().reverse()],
          fill: 'toself', fillcolor: style.colour, opacity: 0.14, line: { width: 0 }, hoverinfo: 'skip',
        });
      }
      const training = metric.startsWith('train') && $('curves-split').value === 'both';
      traces.push({
        type: 'scatter', mode: mean.length > 12 ? 'lines' : 'lines+markers', uid: `c${place}`, x, y: mean, hoverinfo: 'none',
        line: { color: style.colour, width: training ? 1.1 : 2, dash: training ? 'dot' : style.dash },
        marker: { color: style.colour, size: mean.length > 1 ? 5 : 8, symbol: style.symbol },
        meta: { place, metric, course },
      });
    }
  }
  return traces;
}

function curveAxis() {
  const key = $('curves-axis').value;
  const ends = shownCourses().map((place) => courseOf.get(place)[key].at(-1));
  if (key === 'epochs') return { key, size: 1, title: 'epoch', longest: Math.max(...ends) };
  const kind = key === 'seconds' ? 'seconds' : 'count';
  const { size, unit } = scale(ends, kind);
  return { key, size, title: key === 'seconds' ? `training time (${unit})` : `multiply-accumulates of training (${unit}MACs; 1 MAC = 2 FLOPs)` };
}

function toldOfCurve(point) {
  const { place, metric, course } = point.data.meta;
  const at = point.pointNumber;
  const [mean, low, high] = course.metrics[metric].map((values) => values[at]);
  const told = (value) => (metric.endsWith('accuracy') ? percent(value) : value.toPrecision(4));
  const band = low === undefined ? '' : ` (${told(low)} to ${told(high)} over ${course.n} seeds)`;
  const split = metric.startsWith('val') ? 'validation' : 'training';
  const unfinished = course.done ? '' : '\nnot finished';
  return `${label(place)}\nepoch ${course.epochs[at]}, ${amount(course.seconds[at], 'seconds')}: ${split} ${told(mean)}${band}${unfinished}`;
}

function highlight(place) {
  for (const id of ['curves-loss', 'curves-accuracy']) {
    for (const trace of $(id).querySelectorAll('.scatterlayer .trace')) {
      trace.style.opacity = place === null || trace.classList.contains(`tracec${place}`) ? '' : '0.12';
    }
  }
}

function drawCurves(kind) {
  return (box) => {
    const axis = curveAxis();
    const layout = layoutOf(axis.title, '', { uirevision: axis.key });
    if (axis.longest && axis.longest <= 12) Object.assign(layout.xaxis, { dtick: 1 });  // there is no half epoch
    plot(box, curveTraces(kind, axis), layout, toldOfCurve, (point) => highlight(point === null ? null : point.data.meta.place));
  };
}

function swatch(place) {
  const style = look(place);
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('width', '26');
  svg.setAttribute('height', '8');
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
  for (const [name, value] of Object.entries({ x1: 0, x2: 26, y1: 4, y2: 4, 'stroke-width': 3, 'stroke-dasharray': STROKES[style.dash] })) line.setAttribute(name, value);
  line.style.stroke = `var(${style.name})`;
  svg.append(line);
  return svg;
}

function legendEntry(place, redraw) {
  const item = document.createElement('li');
  const button = document.createElement('button');
  const name = document.createElement('bdi');
  name.textContent = label(place);
  button.type = 'button';
  button.append(swatch(place), name);
  button.setAttribute('aria-pressed', String(!hidden.has(number(place))));
  for (const enter of ['mouseenter', 'focus']) button.addEventListener(enter, () => highlight(place));
  for (const leave of ['mouseleave', 'blur']) button.addEventListener(leave, () => highlight(null));
  button.addEventListener('click', () => {
    if (!hidden.delete(number(place))) hidden.add(number(place));
    button.setAttribute('aria-pressed', String(!hidden.has(number(place))));
    redraw();
  });
  item.append(button);
  return item;
}

function startCurves() {
  courseOf = new Map(facts.courses.map((course) => [course.c, course]));
  if (!$('curves-loss')) return;
  const panels = ['loss', 'accuracy'].map((kind) => addFigure($(`curves-${kind}`), drawCurves(kind)));
  const redraw = () => panels.filter((one) => one.drawn).forEach(drawFigure);
  const all = () => {
    const shown = shownCourses();
    $('curves-legend').replaceChildren(...shown.map((place) => legendEntry(place, redraw)));
    $('curves-count').textContent = shown.length < facts.courses.length ? `${shown.length} of ${facts.courses.length} candidates` : '';
    redraw();
  };
  if (!facts.courses.some((course) => course.metrics.val_accuracy)) $('curves-split').value = 'train';
  for (const id of ['curves-split', 'curves-smoothing']) $(id).addEventListener('change', redraw);
  for (const id of ['curves-axis', 'curves-most']) $(id).addEventListener('change', all);
  followers.push(all);
  all();
}
