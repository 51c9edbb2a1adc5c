function sortKey(cell, numeric) {
  const value = cell.dataset.value;
  if (value === '') return null;
  return numeric ? Number(value) : value;
}

function sortBy(head, column) {
  const body = $('candidates').tBodies[0];
  const numeric = head.classList.contains('number');
  // Accuracy and speed are best when high, all else when low; the best comes first.
  const highFirst = ['val', 'test', 'runs', 'throughput'].includes(head.dataset.key);
  const before = head.getAttribute('aria-sort');
  const ascending = before ? before === 'descending' : !highFirst;
  const rows = Array.from(body.rows);
  rows.sort((one, other) => {
    const a = sortKey(one.cells[column], numeric);
    const b = sortKey(other.cells[column], numeric);
    if (a === null || b === null) return (a === null) - (b === null);
    const order = numeric ? a - b : a.localeCompare(b);
    return (ascending ? order : -order) || one.dataset.place - other.dataset.place;
  });
  for (const other of head.parentNode.cells) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
  body.append(...rows);
  nowPassing(shownPlaces());
}

function shownPlaces() {
  return Array.from($('candidates').tBodies[0].rows).filter((row) => !row.hidden).map((row) => Number(row.dataset.place));
}

function filterBy(text) {
  const words = text.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  for (const row of $('candidates').tBodies[0].rows) {
    const name = facts.candidates[row.dataset.place].slice(0, 2).join(' ').toLocaleLowerCase();
    row.hidden = !words.every((word) => name.includes(word));
  }
  const places = shownPlaces();
  $('filter-count').textContent = words.length ? `${places.length} of ${facts.candidates.length} candidates` : '';
  nowPassing(places);
}

function startTable() {
  if (!$('candidates')) return;
  Array.from($('candidates').tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => sortBy(head, column));
  });
  $('filter').addEventListener('input', () => filterBy($('filter').value));
  if ($('filter').value) filterBy($('filter').value);
}
