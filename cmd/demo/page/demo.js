// The wire beside phone and house: the panel's documents as the hub has them, and what was said to the hub and by it.

const maxMessages = 200; // as the server keeps
const longestSilence = 40_000; // ms; the server sends something every 15 s
const reconnectPause = 2_000; // ms
const brightFor = 2_500; // ms
const shortText = 60; // characters, about a line

const at = id => document.getElementById(id);

function make(tag, className, text) {
  const e = document.createElement(tag);
  e.className = className;
  e.textContent = text;
  return e;
}

// ---- documents -------------------------------------------------------------------------

const before = {}; // lines of a document, by its name

function showDocument({ name, version, text }) {
  const title = at(`${name}-name`);
  if (!title) return;
  const box = title.parentElement;
  box.querySelector('.version span').textContent = version === 0 ? 'none yet' : `version ${version}`;
  const bare = line => line.replace(/,$/, '');
  const lines = text === '' ? [] : text.split('\n');
  const known = before[name];
  before[name] = new Set(lines.map(bare));
  box.querySelector('pre').replaceChildren(...lines.map(line => {
    const e = make('span', '', line + '\n');
    if (known && /\w/.test(line) && !known.has(bare(line))) brighten(e);
    return e;
  }));
}

function brighten(e) {
  e.classList.add('changed');
  setTimeout(() => e.classList.remove('changed'), brightFor);
}

// ---- messages --------------------------------------------------------------------------

const log = at('log');
const list = log.querySelector('ol');
const lines = new Map(); // what is on the page, by id
let paused = false;
let waiting = new Map(); // what came while paused, by id

const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' });

// short leaves out what is the same in each path: the API's beginning and the panel's id.
const short = what => what.replace(/^(\S+) \/iot\/v1\/regions\/[^/]+\/twins\/[^/]+\//, '$1 …/');

// A line is an element, and how to tell it that its message was said again.
function line(m) {
  const e = make('li', m.from === 'hub' ? 'from-hub' : 'to-hub', '');
  const time = make('time', '', '');
  const who = make('span', `who ${m.from === 'hub' ? m.to : m.from}`, `${m.from} → ${m.to}`);
  const what = make('b', '', short(m.what));
  what.title = `${m.over}: ${m.what}`;
  const count = make('span', 'count', '');
  e.append(time, ' ', who, ' ', what);
  if (m.status) e.append(' ', make('span', m.status < 400 ? 'status' : 'status bad', m.status));
  e.append(' ', count);
  const said = m.payload ? payload(m.payload) : null;
  if (said) e.append(said.e);
  const again = m => {
    time.dateTime = m.at;
    time.textContent = clock.format(new Date(m.at));
    count.textContent = m.count > 1 ? `× ${m.count}` : '';
    said?.show(m.payload + (m.cut ? ' …' : ''));
  };
  again(m);
  return { e, again };
}

// payload is an element that shows a text, and opens if that is long. While it is shut it leaves out the names that are in
// the path as well.
function payload(text) {
  const code = make('code', '', '');
  const brief = text => text.replace(/^\{"twin_id":"[^"]*","document_name":"[^"]*",/, '{… ');
  if (text.length <= shortText) return { e: code, show(text) { code.textContent = text; } };
  const e = make('details', '', '');
  const begin = make('summary', '', '');
  begin.append(code);
  e.append(begin);
  let whole = text;
  const show = (text = whole) => {
    whole = text;
    code.textContent = e.open ? whole : brief(whole);
  };
  e.addEventListener('toggle', () => show());
  return { e, show };
}

function showMessages(messages) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  for (const m of messages) {
    if (lines.has(m.id)) {
      lines.get(m.id).again(m);
      continue;
    }
    const l = line(m);
    lines.set(m.id, l);
    list.append(l.e);
  }
  while (lines.size > maxMessages) {
    const [id, { e }] = lines.entries().next().value;
    e.remove();
    lines.delete(id);
  }
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function keep(messages) {
  for (const m of messages) waiting.set(m.id, m);
  while (waiting.size > maxMessages) waiting.delete(waiting.keys().next().value);
  at('pause').textContent = waiting.size === 0 ? 'Go on' : `Go on (${waiting.size} new)`;
}

at('pause').addEventListener('click', () => {
  paused = !paused;
  if (paused) {
    keep([]);
    return;
  }
  at('pause').textContent = 'Pause';
  showMessages([...waiting.values()]);
  waiting = new Map();
});

// ---- the stream ------------------------------------------------------------------------

let source;
let watchdog;

function connect() {
  disconnect();
  source = new EventSource('wire');
  source.onmessage = ({ data }) => {
    at('lost').textContent = '';
    expect();
    const news = JSON.parse(data);
    if (news.first) { // all there is, perhaps of another demo
      list.replaceChildren();
      lines.clear();
      waiting.clear();
    }
    news.documents?.forEach(showDocument);
    (paused ? keep : showMessages)(news.messages ?? []);
  };
  source.onerror = lose;
  expect();
}

function disconnect() {
  source?.close();
  clearTimeout(watchdog);
}

function expect() {
  clearTimeout(watchdog);
  watchdog = setTimeout(lose, longestSilence);
}

function lose() {
  disconnect();
  at('lost').textContent = 'The demo can’t be reached. What is here is old.';
  watchdog = setTimeout(connect, reconnectPause);
}

// A page that nobody sees gives its connection to those that somebody does: browsers have six for one server.
function follow() {
  if (document.hidden) {
    disconnect();
  } else {
    connect();
  }
}
document.addEventListener('visibilitychange', follow);
follow();
