const TITLE = 30; // pixels for an axis' title
const LONGEST_CLASS = 150; // pixels of a name
const BAR = 62; // for the bar of colours

// How names and cells share the width of a figure whose cells are square: names are shortened, and where cells are lower
// than a line only every second, third, ... class is named.
function roomOf(box, names) {
  const width = box.clientWidth;
  const texts = names.map((name) => fitted(name, Math.min(LONGEST_CLASS, 0.22 * width)));
  const widest = Math.max(...texts.map((text) => textWidth(text))) + 6;
  const left = widest + TITLE;
  const side = width - left - BAR;
  const cell = side / names.length;
  const every = Math.ceil(LINE / cell);
  const slanted = widest > every * cell;
  const bottom = (slanted ? 0.75 * widest + 12 : LINE + 6) + TITLE;
  return { texts, cell, every, slanted, margin: { l: left, r: BAR, t: 22, b: bottom }, height: side + 22 + bottom };
}

function drawConfusion(box) {
  const { names, confusions } = facts.classes;
  const { counts } = confusions.find((one) => one.id === $('confusion-of').value);
  const shares = counts.map((row) => {
    const all = row.reduce((sum, one) => sum + one, 0);
    return row.map((one) => (all ? (100 * one) / all : null));
  });
  const ticks = names.map((_, place) => place);
  const room = roomOf(box, names);
  const few = names.length <= 30 && room.cell >= 4 + textWidth(String(Math.max(...counts.flat())));
  const heat = {
    type: 'heatmap', x: ticks, y: ticks, z: shares, zmin: 0, zmax: 100, hoverinfo: 'none', xgap: few ? 1 : 0, ygap: few ? 1 : 0,
    colorscale: [[0, colour('--card')], [1, colour('--series-0')]], colorbar: { thickness: 10, outlinewidth: 0, title: { text: '%' } },
    text: few ? counts : undefined, texttemplate: few ? '%{text}' : undefined,
  };
  const layout = layoutOf('predicted', 'true class');
  layout.margin = { ...room.margin, autoexpand: false };
  const told = ticks.filter((place) => place % room.every === 0);
  const axis = { tickvals: told, ticktext: told.map((place) => escaped(room.texts[place])), showgrid: false, ticks: '', automargin: false };
  Object.assign(layout.xaxis, axis, { tickangle: room.slanted ? -45 : 0, title: { text: 'predicted', standoff: 6 } });
  Object.assign(layout.yaxis, axis, { autorange: 'reversed', title: { text: 'true class', standoff: 6 } });
  box.style.height = `${room.height}px`;
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
