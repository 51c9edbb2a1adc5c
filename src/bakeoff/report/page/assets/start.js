// `bakeoff watch` puts a newer main part in this one's place: all in it is then begun again, with what was chosen.

const choices = new Map();

function begin() {
  loadFacts();
  figures = [];
  document.querySelectorAll('.needs-script').forEach((one) => { one.hidden = false; });
  for (const [id, value] of choices) {
    const control = $(id);
    if (control && (control.type === 'search' || Array.from(control.options).some((one) => one.value === value))) control.value = value;
  }
  startTable();
  startCurves();
  startTrades();
  startClasses();
  startDownloads();
  startFigures();
}

document.addEventListener('change', (event) => choices.set(event.target.id, event.target.value));
document.addEventListener('input', (event) => choices.set(event.target.id, event.target.value));
startTheme();
startPrinting();
begin();
new MutationObserver((changes) => {
  if (changes.some((change) => Array.from(change.addedNodes).some((node) => node.nodeName === 'MAIN'))) begin();
}).observe(document.body, { childList: true });
document.documentElement.dataset.ready = 'yes';
