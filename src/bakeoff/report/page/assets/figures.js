// Figures are drawn when they come into sight, and again when colours or data change.

let figures = [];
let seen = null;
let sized = null;
let printing = false;
const CONFIG = {
  displaylogo: false, responsive: true, scrollZoom: false,
  modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d'],
};

function addFigure(box, draw) {
  const figure = { box, draw, drawn: false };
  figures.push(figure);
  return figure;
}

function drawFigure(figure) {
  figure.drawn = true;
  figure.width = figure.box.clientWidth;
  figure.draw(figure.box);
}

function redrawAll() {
  figures.filter((figure) => figure.drawn).forEach(drawFigure);
}

function layoutOf(x, y, more) {
  const ink = colour('--ink');
  const axis = { gridcolor: colour('--line'), linecolor: colour('--line'), zeroline: false, ticks: 'outside', tickcolor: colour('--line'), automargin: true };
  return Object.assign({
    autosize: true, showlegend: false, hovermode: 'closest', dragmode: 'zoom',
    margin: { l: 54, r: 14, t: 10, b: 46 },
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink },
    modebar: { bgcolor: 'rgba(0,0,0,0)', color: colour('--quiet'), activecolor: ink },
    xaxis: Object.assign({}, axis, { title: { text: x } }),
    yaxis: Object.assign({}, axis, { title: { text: y } }),
  }, more);
}

// Labels under the pointer are ours, not Plotly's: their text is never read as markup. Returns what is kept once all stands.
function plot(box, traces, layout, told, touched) {
  const drawn = Plotly.react(box, traces, layout, CONFIG);
  box.removeAllListeners('plotly_hover');
  box.removeAllListeners('plotly_unhover');
  box.on('plotly_hover', (event) => {
    const text = told(event.points[0]);
    if (text) showTip(text, event.event);
    if (touched) touched(event.points[0]);
  });
  box.on('plotly_unhover', () => {
    $('tip').hidden = true;
    if (touched) touched(null);
  });
  return drawn;
}

function showTip(text, event) {
  const tip = $('tip');
  tip.textContent = text;
  tip.hidden = false;
  const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
  const above = event.clientY + 18 + tip.offsetHeight > window.innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18}px`;
}

// A square figure's height depends on its width: it is drawn anew for another.
function followWidths() {
  if (sized) sized.disconnect();
  sized = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const figure = figures.find((one) => one.box === entry.target);
      if (figure && figure.drawn && !printing && figure.width !== figure.box.clientWidth) drawFigure(figure);
    }
  });
  figures.filter(isSquare).forEach((figure) => sized.observe(figure.box));
}

function isSquare(figure) {
  return figure.box.classList.contains('square');
}

function startFigures() {
  followWidths();
  if (seen) seen.disconnect();
  seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const figure = figures.find((one) => one.box === entry.target);
      if (entry.isIntersecting && !figure.drawn) drawFigure(figure);
    }
  }, { rootMargin: '300px' });
  figures.forEach((figure) => seen.observe(figure.box));
}

function startPrinting() {
  let before = null;
  window.addEventListener('beforeprint', () => {
    printing = true;
    before = document.documentElement.dataset.theme;
    setTheme('light');
    document.querySelectorAll('details:not(.unprinted)').forEach((one) => { one.dataset.was = one.open ? 'open' : ''; one.open = true; });
    for (const figure of figures) {
      drawFigure(figure);
      const height = isSquare(figure) ? 640 + figure.box.clientHeight - figure.box.clientWidth : 380; // its margins stay
      Plotly.relayout(figure.box, { autosize: false, width: 640, height });
    }
  });
  window.addEventListener('afterprint', () => {
    setTheme(before);
    document.querySelectorAll('details:not(.unprinted)').forEach((one) => { one.open = one.dataset.was === 'open'; });
    for (const figure of figures) {
      figure.box.replaceChildren();
      Plotly.purge(figure.box);
      drawFigure(figure);
    }
    printing = false;
  });
}
