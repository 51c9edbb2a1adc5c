function drawConfusion(box) {
  const { names, confusions } = facts.classes;
  const { counts } = confusions.find((one) => one.id === $('confusion-of').value);
  const shares = counts.map((row) => {
    const all = row.reduce((sum, one) => sum + one, 0);
    return row.map((one) => (all ? (100 * one) / all : null));
  });
  const few = names.length <= 12;
  const ticks = names.map((_, place) => place);
  const texts = names.map((name) => escaped(shortened(name, 18)));
  const heat = {
    type: 'heatmap', x: ticks, y: ticks, z: shares, zmin: 0, zmax: 100, hoverinfo: 'none', xgap: few ? 1 : 0, ygap: few ? 1 : 0,
    colorscale: [[0, colour('--card')], [1, colour('--series-0')]], colorbar: { thickness: 10, outlinewidth: 0, title: { text: '%' } },
    text: few ? counts : undefined, texttemplate: few ? '%{text}' : undefined,
  };
  const axis = names.length <= 60 ? { tickvals: ticks, ticktext: texts } : { showticklabels: false };
  const layout = layoutOf('predicted', 'true class');
  layout.margin = { l: 90, r: 10, t: 10, b: 80 };
  Object.assign(layout.xaxis, axis, { showgrid: false, ticks: '', tickangle: names.length > 6 ? -45 : 0, constrain: 'domain' });
  Object.assign(layout.yaxis, axis, { showgrid: false, ticks: '', autorange: 'reversed', scaleanchor: 'x', constrain: 'domain' });
  plot(box, [heat], layout, (point) => {
    const share = shares[point.y][point.x];
    return `${names[point.y]}, taken for ${names[point.x]}\n${counts[point.y][point.x]} times${share === null ? '' : `, ${share.toFixed(1)} % of this class`}`;
  });
}

function startClasses() {
  if (!$('confusion-plot')) return;
  const figure = addFigure($('confusion-plot'), drawConfusion);
  $('confusion-of').addEventListener('change', () => figure.drawn && drawFigure(figure));
}
