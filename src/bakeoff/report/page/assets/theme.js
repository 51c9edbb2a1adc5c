const dark = window.matchMedia('(prefers-color-scheme: dark)');

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : dark.matches;
}

function remembered(value) {
  try {  // a browser may forbid a file to keep anything
    if (value) localStorage.setItem('bakeoff-theme', value);
    return localStorage.getItem('bakeoff-theme');
  } catch {
    return null;
  }
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  $('theme').textContent = name === 'dark' ? 'Light' : 'Dark';
  $('theme').setAttribute('aria-label', `Switch to ${name === 'dark' ? 'light' : 'dark'} colours`);
}

function startTheme() {
  setTheme(remembered() === 'dark' || (remembered() !== 'light' && dark.matches) ? 'dark' : 'light');
  $('theme').addEventListener('click', () => {
    setTheme(isDark() ? 'light' : 'dark');
    remembered(isDark() ? 'dark' : 'light');
    redrawAll();
  });
  dark.addEventListener('change', () => {
    if (remembered()) return;
    setTheme(dark.matches ? 'dark' : 'light');
    redrawAll();
  });
}
