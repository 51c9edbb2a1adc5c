// Keeps a page of `bakeoff watch` as new as the study: listens for news, and takes over the report as it is drawn anew.
// Whatever the server says is set as text, never as markup, but for the report itself, which the server has escaped.
// Of the page it knows the heading `header.top > div` and `main`, which holds all that depends on the study: the page's own
// program begins anew once another `main` stands there.
(() => {
  'use strict';
  const RETRY = 1000; // milliseconds between attempts to reach a server that has gone
  const script = document.currentScript;
  let shown = script.dataset.page;
  let wanted = shown;
  let busy = false;
  let source = null;
  let timer = null;

  const part = (name) => document.getElementById(`watch-${name}`);

  function element(kind, text) {
    const made = document.createElement(kind);
    made.textContent = text;
    return made;
  }

  function bar(share, label) {
    const made = document.createElement('progress');
    made.max = 1;
    made.value = share;
    made.setAttribute('aria-label', label);
    return made;
  }

  function say(name, text) {
    if (part(name).textContent !== text) part(name).textContent = text;
  }

  // News

  function showStanding(standing) {
    part('share').hidden = !standing;
    if (!standing) return;
    say('summary', `${standing.study}: ${standing.summary}`);
    part('share').value = standing.share;
    const running = standing.running.map((run) => {
      const line = document.createElement('li');
      line.append(element('bdi', run.name), bar(run.share, `Epochs of ${run.name}`), element('span', run.words));
      return line;
    });
    const badly = standing.badly.map((said) => element('li', said));
    if (standing.badly_more) badly.push(element('li', `and ${standing.badly_more} more`));
    part('running').replaceChildren(...running, ...badly);
  }

  function showTroubles(news) {
    const said = [...news.troubles];
    if (news.standing && news.standing.doubt) said.push(news.standing.doubt);
    const place = part('troubles');
    const before = Array.from(place.children, (one) => one.textContent);
    if (JSON.stringify(said) === JSON.stringify(before)) return; // so that a screen reader is not told again
    place.replaceChildren(...said.map((text) => element('p', text)));
  }

  function show(news) {
    say('line', news.line);
    showStanding(news.standing);
    showTroubles(news);
    if (news.page && news.page !== shown) {
      wanted = news.page;
      update();
    }
  }

  // The report

  function selecting() {
    const selection = document.getSelection();
    const main = document.querySelector('main');
    return selection && !selection.isCollapsed && main.contains(selection.anchorNode);
  }

  async function newest() {
    try {
      const answer = await fetch('renewed', { cache: 'no-store' });
      return answer.ok ? await answer.text() : null;
    } catch {
      return null; // the connection is lost, which its own listener tells; once it is back, the news come again
    }
  }

  async function update() {
    if (busy || wanted === shown) return;
    if (selecting()) {
      say('line', 'There is more to show; it waits until no text is selected.');
      return;
    }
    const asked = wanted;
    busy = true;
    try {
      const text = await newest();
      if (text === null || selecting()) return; // the next news try again
      const fresh = new DOMParser().parseFromString(text, 'text/html');
      const its = fresh.getElementById(script.id).dataset;
      if (!shown || its.build !== script.dataset.build) {
        location.reload(); // another page than this one: the first with a study, or another bakeoff's
        return;
      }
      await takeOver(fresh);
      shown = its.page;
      document.documentElement.dataset.watched = shown;
    } finally {
      busy = false;
    }
    if (wanted !== asked) update();
  }

  async function takeOver(fresh) {
    const state = remember();
    if (document.activeElement !== document.body) document.activeElement.blur(); // while what listens to that is still there
    document.title = fresh.title;
    for (const plot of document.querySelectorAll('main .plot[id]')) fresh.getElementById(plot.id)?.replaceWith(plot); // with its zoom
    for (const selector of ['header.top > div', 'main']) {
      const [old, other] = [document.querySelector(selector), fresh.querySelector(selector)];
      if (old && other) old.replaceWith(document.adoptNode(other));
    }
    await null; // the page's program, which observes the document, has its turn
    restore(state);
  }

  // What the reader has chosen

  const sectionOf = (node) => node.closest('section')?.id ?? '';
  const nameOf = (details) => `${sectionOf(details)} ${details.querySelector('summary')?.textContent.replace(/\d+/g, '')}`;
  const boxes = () => Array.from(document.querySelectorAll('main .scroll, main .legend'));
  const legends = () => Array.from(document.querySelectorAll('main .legend button[aria-pressed]'));
  const heads = () => Array.from(document.querySelectorAll('main th[data-key]'));

  function remember() {
    const active = document.activeElement;
    const sorted = heads().find((head) => head.hasAttribute('aria-sort'));
    return {
      scroll: [window.scrollX, window.scrollY],
      boxes: boxes().map((box) => [sectionOf(box), box.scrollLeft, box.scrollTop]),
      inputs: Array.from(document.querySelectorAll('main input[id]'), (one) => [one.id, one.value, one.selectionStart, one.selectionEnd]),
      choices: Array.from(document.querySelectorAll('main select[id]'), (one) => [one.id, one.selectedOptions[0]?.textContent]),
      sorted: sorted && [sorted.dataset.key, sorted.getAttribute('aria-sort')],
      hidden: legends().filter((one) => one.getAttribute('aria-pressed') === 'false').map((one) => one.textContent),
      open: Array.from(document.querySelectorAll('main details[open]'), nameOf),
      focus: active && { id: active.id, head: active.closest('th')?.dataset.key, legend: active.matches('.legend button') ? active.textContent : null },
    };
  }

  function restore(state) {
    for (const one of document.querySelectorAll('main details')) one.open = state.open.includes(nameOf(one));
    for (const [id, chosen] of state.choices) {
      const select = document.getElementById(id);
      const place = select ? Array.from(select.options).findIndex((option) => option.textContent === chosen) : -1;
      if (place >= 0 && place !== select.selectedIndex) {
        select.selectedIndex = place;
        select.dispatchEvent(new Event('change', { bubbles: true }));
      }
    }
    for (const [id, value] of state.inputs) {
      const input = document.getElementById(id);
      if (!input || input.value === value) continue;
      input.value = value;
      input.dispatchEvent(new Event('input', { bubbles: true }));
    }
    const [key, direction] = state.sorted ?? [];
    const head = heads().find((one) => one.dataset.key === key);
    for (let clicks = 0; head && head.getAttribute('aria-sort') !== direction && clicks < 2; clicks += 1) head.querySelector('button')?.click();
    for (const name of legends().map((one) => one.textContent)) {
      const one = legends().find((button) => button.textContent === name); // a click may make all of them anew
      if (state.hidden.includes(name) !== (one.getAttribute('aria-pressed') === 'false')) one.click();
    }
    restoreFocus(state);
    const before = state.boxes;
    boxes().forEach((box, place) => {
      if (before[place] && before[place][0] === sectionOf(box)) [, box.scrollLeft, box.scrollTop] = before[place];
    });
    window.scrollTo({ left: state.scroll[0], top: state.scroll[1], behavior: 'instant' });
  }

  function restoreFocus({ focus, inputs }) {
    if (!focus || (document.activeElement && document.activeElement !== document.body)) return;
    const found = focus.id
      ? document.getElementById(focus.id)
      : focus.head
        ? heads().find((one) => one.dataset.key === focus.head)?.querySelector('button')
        : focus.legend !== null && legends().find((one) => one.textContent === focus.legend);
    if (!found) return;
    found.focus({ preventScroll: true });
    const written = inputs.find(([id]) => id === found.id);
    if (written && found.setSelectionRange && written[2] !== null) found.setSelectionRange(written[2], written[3]);
  }

  // The connection

  function connect() {
    clearTimeout(timer);
    if (source) source.close();
    source = new EventSource('events');
    source.onmessage = (message) => show(JSON.parse(message.data));
    source.onerror = () => {
      source.close(); // by our own clock: browsers differ in when they give up
      say('line', 'The connection to `bakeoff watch` is lost. Start it again, and this page goes on.');
      timer = setTimeout(connect, RETRY);
    };
  }

  document.addEventListener('selectionchange', () => update());
  // A browser keeps at most six connections to one server: hidden pages give theirs back.
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) {
      connect();
      return;
    }
    clearTimeout(timer);
    if (source) source.close();
  });
  if (!document.hidden) connect();
})();
