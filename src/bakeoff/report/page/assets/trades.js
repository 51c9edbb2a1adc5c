const LONGEST_NAME = 280; // pixels of a name beside a point

function chosenTrade() {
  return facts.trades.find((one) => one.cost === $('trades-axis').value);
}

function pointsOf(trade) {
  const names = ['c', 'cost', 'accuracy', 'low', 'high', 'by', 'ranked', 'doubted'];
  return trade.points.filter((point) => passing.includes(point[0])).map((point) => Object.fromEntries(names.map((name, at) => [name, point[at]])));
}

// The highest accuracy that is to be had for a cost, as steps.
function steps(points, front) {
  const known = new Map(points.map((point) => [point.c, point]));
  const kept = [];
  for (const point of front.map((place) => known.get(place)).filter(Boolean)) {
    const last = kept.at(-1);
    if (last && point.accuracy <= last.accuracy) continue;
    if (last && point.cost <= last.cost) kept.pop();
    kept.push(point);
  }
  return kept;
}

function groupOf(point, front) {
  if (!point.ranked) return point.doubted ? 'doubted' : 'not ranked';
  return front.has(point.c) ? 'front' : 'dominated';
}

function pointTrace(points, group, size) {
  const front = group === 'front';
  const hollow = ['not ranked', 'doubted'].includes(group);
  const faint = colour('--faint');
  const colours = points.map((point) => (front ? look(point.c).colour : group === 'dominated' ? faint : colour('--quiet')));
  const arms = (side) => points.map((point) => (point.low === null ? 0 : 100 * Math.abs(point[side] - point.accuracy)));
  return {
    type: 'scatter', mode: 'markers', hoverinfo: 'none', cliponaxis: false,
    x: points.map((point) => point.cost / size), y: points.map((point) => 100 * point.accuracy),
    error_y: { type: 'data', symmetric: false, array: arms('high'), arrayminus: arms('low'), color: front ? colour('--quiet') : faint, thickness: 1, width: 0 },
    marker: {
      size: front ? 11 : 8, color: hollow ? 'rgba(0,0,0,0)' : colours, symbol: front ? points.map((point) => look(point.c).symbol) : 'circle',
      line: { width: hollow ? 1.5 : 0, color: colours },
    },
    meta: { points, group },
  };
}

// The names stand in a trace of their own, whose points cannot be seen; who is in it is known once all else is drawn.
function nameTrace() {
  return {
    type: 'scatter', mode: 'markers+text', hoverinfo: 'skip', cliponaxis: false, uid: 'names',
    x: [], y: [], text: [], marker: { size: 10, opacity: 0 }, textfont: { size: 12 },
  };
}

function putNames(box, points, front, stairs, size) {
  const { xaxis, yaxis, width } = box._fullLayout;
  const at = points.map((point) => {
    const y = (share) => yaxis.d2p(100 * share);
    const bar = point.low === null ? [] : [{ left: -0.5, right: 0.5, top: y(point.high), bottom: y(point.low) }];
    const x = xaxis.d2p(point.cost / size);
    const mark = { left: -6, right: 6, top: y(point.accuracy) - 6, bottom: y(point.accuracy) + 6 };
    const taken = [mark, ...bar].map((one) => ({ ...one, left: one.left + x, right: one.right + x }));
    return { point, x, y: y(point.accuracy), text: fitted(label(point.c), Math.min(LONGEST_NAME, 0.4 * width), shortenedWithin), taken };
  });
  const area = { // an axis' numbers stand left of it and below
    left: 2, right: width - xaxis._offset - 4, top: 4 - yaxis._offset, bottom: yaxis._length - 2,
    inner: { right: xaxis._length, bottom: yaxis._length },
  };
  const treads = stairs.slice(1).flatMap((point, before) => {
    const [from, to] = [stairs[before], point].map((one) => ({ x: xaxis.d2p(one.cost / size), y: yaxis.d2p(100 * one.accuracy) }));
    return [{ left: from.x, right: to.x, top: from.y - 1, bottom: from.y + 1 }, { left: to.x - 1, right: to.x + 1, top: to.y, bottom: from.y }];
  });
  const sides = sidesOf(at, [...at.flatMap((one) => one.taken), ...treads], area);
  const named = at.filter((one) => sides.has(one));
  Plotly.restyle(box, {
    x: [named.map((one) => one.point.cost / size)],
    y: [named.map((one) => 100 * one.point.accuracy)],
    text: [named.map((one) => escaped(one.text))],
    textposition: [named.map((one) => sides.get(one))],
    'textfont.color': [named.map((one) => colour(front.has(one.point.c) ? '--ink' : '--quiet'))],
  }, [0]);
}

function toldOfPoint(point) {
  if (!point.data.meta) return '';
  const one = point.data.meta.points[point.pointNumber];
  const trade = chosenTrade();
  const interval = one.low === null ? '' : ` (${(100 * one.low).toFixed(2)} to ${percent(one.high)})`;
  const states = { front: 'on the front', doubted: 'the audit doubts this cost', 'not ranked': 'not ranked' };
  const state = one.by !== null ? `dominated by ${label(one.by)}` : states[point.data.meta.group];
  return `${label(one.c)}\n${percent(one.accuracy)}${interval}\n${trade.title} ${amount(one.cost, trade.kind)}\n${state}`;
}

function drawTrades(box) {
  const trade = chosenTrade();
  const points = pointsOf(trade);
  const front = new Set(trade.front);
  const costs = points.map((point) => point.cost);
  const { size, unit } = scale(costs, trade.kind);
  const wanted = $('trades-scale').value;
  const log = wanted === 'log' || (wanted === 'auto' && Math.min(...costs) > 0 && Math.max(...costs) > 20 * Math.min(...costs));
  const stairs = steps(points, trade.front);
  const traces = ['not ranked', 'doubted', 'dominated', 'front'].map((group) => pointTrace(points.filter((point) => groupOf(point, front) === group), group, size));
  const line = { x: stairs.map((point) => point.cost / size), y: stairs.map((point) => 100 * point.accuracy) };
  const known = new Map(points.map((point) => [point.c, point]));
  const named = trade.named.map((place) => known.get(place)).filter(Boolean);
  traces.unshift(nameTrace(), { type: 'scatter', mode: 'lines', ...line, line: { shape: 'hv', color: colour('--quiet'), width: 1.4, dash: 'dot' }, hoverinfo: 'skip' });
  const layout = layoutOf(`${trade.title}${unit ? ` (${unit})` : ''}${log ? ', logarithmic' : ''}`, 'test accuracy (%)', { margin: { l: 58, r: 40, t: 28, b: 48 } });
  layout.xaxis.type = log ? 'log' : 'linear';
  if (!log) layout.xaxis.rangemode = 'tozero';
  const place = () => box._fullLayout && putNames(box, named, front, stairs, size);
  plot(box, traces, layout, toldOfPoint).then(place);
  box.removeAllListeners('plotly_relayout'); // zoomed, or the window is of another size
  box.on('plotly_relayout', place);
}

function tellTrades() {
  const trade = chosenTrade();
  const names = trade.front.map(label);
  const shown = names.slice(0, 6).join(', ') + (names.length > 6 ? ` and ${names.length - 6} more` : '');
  $('trades-words').textContent = trade.no_front || `Not dominated, by ${trade.title} from the cheapest: ${shown}.`;
  const points = pointsOf(trade).length;
  $('trades-count').textContent = points < facts.candidates.length ? `${points} of ${facts.candidates.length} candidates` : '';
}

function startTrades() {
  if (!$('trades-plot')) return;
  const figure = addFigure($('trades-plot'), drawTrades);
  const redraw = () => {
    tellTrades();
    if (figure.drawn) drawFigure(figure);
  };
  for (const id of ['trades-axis', 'trades-scale']) $(id).addEventListener('change', redraw);
  followers.push(redraw);
  tellTrades();
}
