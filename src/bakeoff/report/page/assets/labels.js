// Names beside points, where they fit: the rule of report/naming.py, in pixels, downwards counting as more.

const SIDES = [[1, 0], [-1, 0], [1, -1], [1, 1], [-1, -1], [-1, 1], [0, -1], [0, 1]];
const SIDE_NAMES = ['middle right', 'middle left', 'top right', 'bottom right', 'top left', 'bottom left', 'top center', 'bottom center'];
const LINE = 15; // height of a name of 12 pixels
const GAP = 8; // between a point's middle and its name
const ruler = document.createElement('canvas').getContext('2d');

function textWidth(text, size = 12) {
  ruler.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}

// Names of candidates often differ in what they end with.
function shortenedWithin(text, most) {
  const letters = Array.from(text);
  if (letters.length <= most) return text;
  const end = Math.floor((most - 1) / 2);
  return `${letters.slice(0, most - 1 - end).join('')}…${letters.slice(letters.length - end).join('')}`;
}

// Shorten a text to a width.
function fitted(text, width, shorter = shortened) {
  if (textWidth(text) <= width) return text;
  let [least, most] = [1, Array.from(text).length]; // letters with which it fits, and does not
  while (most - least > 1) {
    const middle = Math.floor((least + most) / 2);
    if (textWidth(shorter(text, middle)) <= width) least = middle;
    else most = middle;
  }
  return shorter(text, least);
}

function meet(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}

function beside(point, width, [across, down]) {
  const left = point.x - width / 2 + across * (width / 2 + GAP);
  const top = point.y - LINE / 2 + down * (LINE / 2 + GAP);
  return { left, top, right: left + width, bottom: top + LINE };
}

// Return by point on which side its name stands; who has no place is left out. Points come in the order in which they choose.
function sidesOf(points, taken, area) {
  const boxes = [];
  const sides = new Map();
  for (const point of points) {
    if (point.x < 0 || point.x > area.inner.right || point.y < 0 || point.y > area.inner.bottom) continue; // zoomed out of sight
    const width = textWidth(point.text);
    const side = SIDES.findIndex((one) => {
      const box = beside(point, width, one);
      const inside = box.left >= area.left && box.right <= area.right && box.top >= area.top && box.bottom <= area.bottom;
      return inside && ![...taken, ...boxes].some((other) => meet(box, other));
    });
    if (side < 0) continue;
    boxes.push(beside(point, width, SIDES[side]));
    sides.set(point, SIDE_NAMES[side]);
  }
  return sides;
}
