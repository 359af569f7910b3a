// The page: shows what the stream says, and nothing that it asked for itself as if it were so.

import { at, icon, write } from './dom.js';
import { Refusal } from './api.js';
import * as household from './household.js';
import { draw } from './picture.js';
import { listenToEvents, showDoors, showEvents, showFaults } from './parts.js';
import { tell } from './say.js';
import * as store from './store.js';
import { Stream } from './stream.js';
import { Switch } from './switch.js';
import * as words from './words.js';

const { t } = words;

let view = null;
let received = 0; // when the view came, on the clock of performance.now
let link = 'connecting'; // live, connecting or lost
let stream = null;

// ---- what is shown ---------------------------------------------------------------------

function show() {
  if (!view && link === 'live') return;
  const since = performance.now() - received;
  const telling = tell(view, link, since);
  document.body.dataset.row = telling.row;
  document.body.dataset.tone = telling.tone;
  document.body.classList.toggle('urgent', telling.urgent);
  document.body.classList.toggle('old', telling.old);
  at('sign').setAttribute('href', `#i-${telling.sign}`);
  say(at('status'), telling.loud ? null : telling);
  say(at('alert'), telling.loud ? telling : null);
  at('left').hidden = !telling.left;
  write(at('left-time'), telling.left?.text ?? '');
  write(at('left-label'), telling.left?.label ?? '');
  write(at('soon'), telling.row === 'entry_delay' && telling.left && telling.left.ms <= 10_000 && telling.left.ms > 0 ? t('soon') : '');
  write(at('age'), telling.age);
  at('age').classList.toggle('late', telling.late);
  write(at('cause'), link === 'live' && view.hub ? view.hub.text : '');
  draw(view, telling);
  showFaults(view, telling);
  showDoors(view, telling);
  showEvents(view, telling);
  control.show(view, link, since, telling);
  document.title = telling.loud ? `${telling.main} – Twinpanel` : 'Twinpanel';
}

function say(where, telling) {
  const [main, known, more] = where.children;
  write(main, telling?.main ?? '');
  write(known, telling?.known ?? '');
  write(more, telling?.more ?? '');
}

function translate() {
  for (const e of document.querySelectorAll('[data-t]')) write(e, t(e.dataset.t));
  const other = words.other();
  write(at('language'), { en: 'English', fr: 'Français' }[other]);
  at('language').lang = other;
  for (const id of ['phone-said', 'signin-said']) write(at(id), ''); // it was said in the other language
  invite();
  household.show();
  show();
}

// ---- what comes in ---------------------------------------------------------------------

const control = new Switch({
  name: household.name,
  changed(wish) {
    if (wish && view) view = { ...view, wish: { ...wish, age_ms: wish.age_ms - (performance.now() - received) } };
    show();
  },
  signedOut: () => begin(),
});

function news(v) {
  const before = view;
  view = v;
  received = performance.now();
  link = 'live';
  if (before?.row !== v.row || before?.wish?.at !== v.wish?.at) control.forget();
  show();
}

function linkIs(state) {
  link = state;
  show();
}

// begin finds out whether this phone is signed in, and goes on from there.
async function begin(wasIn = true) {
  try {
    await household.look();
  } catch (err) {
    if (!(err instanceof Refusal)) throw err;
    if (err.code !== 'signed_out') {
      if (!stream) setTimeout(begin, 2000, wasIn);
      page('alarm');
      linkIs('lost');
      return;
    }
  }
  if (household.session?.signed_in) enter();
  else leave(wasIn);
}

function enter() {
  page('alarm');
  household.show();
  if (stream) return;
  view = null;
  linkIs('connecting');
  stream = new Stream({ view: news, lost: () => linkIs('lost'), woken: () => linkIs('connecting'), doubt: () => begin() });
  stream.start();
}

function leave(wasIn) {
  stream?.stop();
  stream = null;
  view = null;
  if (document.body.dataset.page === 'signin') return;
  page('signin');
  household.showSignIn(wasIn);
}

function page(name) {
  document.body.dataset.page = name;
  at('signin').hidden = name !== 'signin';
  at('alarm').hidden = name !== 'alarm';
}

// ---- this phone ------------------------------------------------------------------------

at('language').addEventListener('click', async () => {
  try {
    await words.load(words.other());
  } catch {
    return; // no connection: the words stay as they are
  }
  store.set('language', words.language);
  translate();
});

// invite says how to put the page on the home screen, until somebody has read it.
function invite() {
  const apple = /iPhone|iPad|iPod/.test(navigator.userAgent) || (navigator.platform === 'MacIntel' && navigator.maxTouchPoints > 1);
  const handheld = apple || /Android/.test(navigator.userAgent);
  const there = matchMedia('(display-mode: standalone)').matches || navigator.standalone === true || window !== window.top;
  at('install').hidden = !handheld || there || store.get('invited') === 'yes';
  const [before, after] = t(apple ? 'install.ios' : 'install.android').split('{icon}');
  at('install-how').replaceChildren(before, icon(apple ? 'share' : 'menu'), after ?? '');
}

at('install-done').addEventListener('click', () => {
  store.set('invited', 'yes');
  invite();
  at('events').scrollIntoView({ block: 'nearest' });
});

// Without a secure connection there is no service worker. Then the page is fetched each time.
if ('serviceWorker' in navigator) navigator.serviceWorker.register('sw.js').catch(() => {});

household.listen({ signedIn: () => begin(), signedOut: () => begin() });
listenToEvents(show);
await words.load(words.choose());
translate();
setInterval(() => {
  if (!document.hidden) show();
}, 250);
begin(false);
