// What the other parts share. Names come from strangers: they are only ever set as text, and Plotly, which reads some
// HTML in its texts, gets them escaped.

let facts = null;
const $ = (id) => document.getElementById(id);
const DASHES = ['solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot'];
const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up', 'cross', 'triangle-down', 'star', 'hexagon'];
const STROKES = { solid: '', dash: '6 4', dot: '2 3', dashdot: '6 3 2 3', longdash: '10 4', longdashdot: '10 3 2 3' };

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A candidate's place in the study, which stays while its place in the table changes.
function number(place) {
  return facts.candidates[place][2];
}

function look(place) {
  const own = number(place);
  const round = Math.floor(own / 8);
  const name = `--series-${own % 8}`;
  return { name, colour: colour(name), dash: DASHES[round % DASHES.length], symbol: SYMBOLS[(own + round) % SYMBOLS.length] };
}

function label(place) {
  return facts.candidates[place][0];
}

function escaped(text) {
  return text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
}

function shortened(text, most) {
  const letters = Array.from(text);
  return letters.length <= most ? text : letters.slice(0, most - 1).join('') + '…';
}

function percent(share) {
  return share === null ? '–' : `${(100 * share).toFixed(2)} %`;
}

const UNITS = {
  count: [[1e18, ' E'], [1e15, ' P'], [1e12, ' T'], [1e9, ' G'], [1e6, ' M'], [1e3, ' k']],
  bytes: [[1e9, ' GB'], [1e6, ' MB'], [1e3, ' kB'], [1, ' bytes']],
  seconds: [[3600, ' h'], [60, ' min'], [1, ' s'], [1e-3, ' ms'], [1e-6, ' µs']],
};

function amount(value, kind) {
  const [size, unit] = UNITS[kind].find(([one]) => Math.abs(value) >= one) || [1, kind === 'seconds' ? ' s' : ''];
  return `${Number((value / size).toPrecision(3))}${unit}`;
}

// The unit that suits the largest of some values, to draw an axis in.
function scale(values, kind) {
  const largest = Math.max(...values, 0);
  const [size, unit] = UNITS[kind].find(([one]) => largest >= one) || [1, ''];
  return { size, unit: unit.trim() };
}

// Whose rows the table shows, in its order.
let passing = [];
let followers = [];

function loadFacts() {
  facts = JSON.parse($('facts').textContent);
  passing = facts.candidates.map((_, place) => place);
  followers = [];
}

function nowPassing(places) {
  passing = places;
  followers.forEach((follow) => follow());
}
