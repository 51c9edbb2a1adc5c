const NAMED = 8;  // labels beside points; more would lie on each other

function chosenTrade() {
  return facts.trades.find((one) => one.cost === $('trades-axis').value);
}

function pointsOf(trade) {
  const names = ['c', 'cost', 'accuracy', 'low', 'high', 'by', 'ranked'];
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
  if (!point.ranked) return 'not ranked';
  return front.has(point.c) ? 'front' : 'dominated';
}

function pointTrace(points, group, size, named) {
  const front = group === 'front';
  const faint = colour('--faint');
  const colours = points.map((point) => (front ? look(point.c).colour : group === 'dominated' ? faint : colour('--quiet')));
  const arms = (side) => points.map((point) => (point.low === null ? 0 : 100 * Math.abs(point[side] - point.accuracy)));
  return {
    type: 'scatter', mode: front ? 'markers+text' : 'markers', hoverinfo: 'none', cliponaxis: false,
    x: points.map((point) => point.cost / size), y: points.map((point) => 100 * point.accuracy),
    text: front ? points.map((point) => (named.has(point.c) ? escaped(shortened(label(point.c), 30)) : '')) : undefined,
    textposition: 'top center', textfont: { size: 12 },
    error_y: { type: 'data', symmetric: false, array: arms('high'), arrayminus: arms('low'), color: front ? colour('--quiet') : faint, thickness: 1, width: 0 },
    marker: {
      size: front ? 11 : 8, color: group === 'not ranked' ? 'rgba(0,0,0,0)' : colours, symbol: front ? points.map((point) => look(point.c).symbol) : 'circle',
      line: { width: group === 'not ranked' ? 1.5 : 0, color: colours },
    },
    meta: { points, group },
  };
}

function toldOfPoint(point) {
  if (!point.data.meta) return '';
  const one = point.data.meta.points[point.pointNumber];
  const trade = chosenTrade();
  const interval = one.low === null ? '' : ` (${(100 * one.low).toFixed(2)} to ${percent(one.high)})`;
  const state = one.by !== null ? `dominated by ${label(one.by)}` : point.data.meta.group === 'front' ? 'on the front' : 'not ranked';
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
  const named = new Set(stairs.slice(-NAMED).map((point) => point.c));
  const traces = ['not ranked', 'dominated', 'front'].map((group) => pointTrace(points.filter((point) => groupOf(point, front) === group), group, size, named));
  const line = { x: stairs.map((point) => point.cost / size), y: stairs.map((point) => 100 * point.accuracy) };
  traces.unshift({ type: 'scatter', mode: 'lines', ...line, line: { shape: 'hv', color: colour('--quiet'), width: 1.4, dash: 'dot' }, hoverinfo: 'skip' });
  const layout = layoutOf(`${trade.title}${unit ? ` (${unit})` : ''}${log ? ', logarithmic' : ''}`, 'test accuracy (%)', { margin: { l: 58, r: 40, t: 28, b: 48 } });
  layout.xaxis.type = log ? 'log' : 'linear';
  if (!log) layout.xaxis.rangemode = 'tozero';
  plot(box, traces, layout, toldOfPoint);
}

function tellTrades() {
  const trade = chosenTrade();
  const names = trade.front.map(label);
  const shown = names.slice(0, 6).join(', ') + (names.length > 6 ? ` and ${names.length - 6} more` : '');
  $('trades-words').textContent = names.length ? `Not dominated, by ${trade.title} from the cheapest: ${shown}.` : 'No candidate is ranked, so no front is drawn.';
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
