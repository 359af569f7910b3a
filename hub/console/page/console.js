// The hub's console: what a person does with the page becomes MQTT, and what arrives is shown.
// Nothing that came from elsewhere is ever taken for HTML.

import { Client } from './mqtt.js';

const longestLog = 500; // messages; older ones go
const longestPretty = 10_000; // characters of a payload that is indented, which can make it 30 times as long

const at = id => document.getElementById(id);
const main = document.querySelector('main');
const hubURL = new URL('mqtt', location.href);
hubURL.protocol = hubURL.protocol === 'https:' ? 'wss:' : 'ws:';

// ---- words -----------------------------------------------------------------------------

// Return codes of CONNACK, and what to do about them.
const refusals = {
  1: ['The hub does not speak MQTT 3.1.1.', ''],
  2: ['The hub does not take an empty client id.', ''],
  3: ['The hub cannot look for devices now.', 'Its log says why.'],
  4: ['The hub does not take a user name.', ''],
  5: ['The hub refused this device.', 'Are id and secret right, and is it a device of this hub? `hub device list` shows all. `hub device add NAME` `--secret` makes one with a secret.'],
};

// why says what ended a connection, and what to do about it.
function why({ connack, code, reason, opened, silent }) {
  if (connack) return refusals[connack] ?? [`The hub refused the connection with code ${connack}.`, ''];
  if (silent) return [opened ? 'The hub does not answer any more.' : 'The hub does not answer.', 'Does it run? Is there a network?'];
  if (reason) return ['The hub ended the connection.', `It says: ${reason}.`];
  if (!opened) return [`No connection to ${hubURL}.`, 'Does the hub run? Does everything in between let WebSockets through?'];
  if (code === 1000) return ['Disconnected.', ''];
  return ['The connection is lost.', 'The hub has ended, or the network is down.'];
}

// ---- the connection --------------------------------------------------------------------

let client = null; // connected or about to be
let connected = false;
const filters = new Set(); // subscribed, or to be subscribed at the next connection

function show(state, words, hint = '') {
  main.dataset.state = state;
  at('state').textContent = words;
  at('hint').replaceChildren(...prose(hint));
  at('connect').textContent = connected ? 'Disconnect' : client ? 'Cancel' : 'Connect';
  at('device').readOnly = at('secret').readOnly = client !== null;
  list();
}

function connect() {
  const id = at('device').value.trim().toLowerCase();
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) {
    complain('device', id === '' ? 'Which device? `hub device list` shows the ids.' : 'This is no device id. One looks like 11111111-1111-4111-8111-111111111111.');
    return;
  }
  complain('device', '');
  client = new Client(hubURL, id, at('secret').value, {
    connected() {
      connected = true;
      show('on', `Connected as ${id}.`);
      complain('filter', '');
      complain('topic', '');
      filters.forEach(subscribe);
    },
    message: (topic, payload) => log('in', topic, payload),
    ended(how) {
      client = null;
      connected = false;
      show(how.code === 1000 && !how.connack ? 'off' : 'failed', ...why(how));
    },
  });
  show('busy', `Connecting to ${hubURL}…`);
}

at('connection').addEventListener('submit', event => {
  event.preventDefault();
  if (client) client.end();
  else connect();
});

// ---- subscriptions ---------------------------------------------------------------------

async function subscribe(filter) {
  try {
    const code = await client.subscribe(filter);
    if (code === 0) {
      filters.add(filter);
      complain('filter', '');
    } else {
      filters.delete(filter);
      complain('filter', `The hub refused ${filter} (0x${code.toString(16)}): a filter begins with $SCW/twins/, has # only at its end and + only alone between slashes, and there are at most 100.`);
    }
  } catch (err) {
    complain('filter', `Not subscribed to ${filter}: ${err.message}.`);
  }
  list();
}

async function unsubscribe(filter) {
  try {
    await client.unsubscribe(filter);
    filters.delete(filter);
  } catch (err) {
    complain('filter', `Still subscribed to ${filter}: ${err.message}.`);
  }
  list();
  at('filter').focus(); // the button that had it is gone
}

function list() {
  at('list').replaceChildren(...[...filters].map(filter => {
    const button = make('button', '', 'Unsubscribe');
    button.type = 'button';
    button.disabled = !connected;
    button.setAttribute('aria-label', `Unsubscribe from ${filter}`);
    button.addEventListener('click', () => unsubscribe(filter));
    const item = make('li', '', make('code', '', filter), button);
    item.dataset.filter = filter;
    return item;
  }));
}

at('subscription').addEventListener('submit', event => {
  event.preventDefault();
  if (!connected) complain('filter', 'Connect first.');
  else if (at('filter').value === '') complain('filter', 'Which topics? $SCW/twins/me/# are all answers.');
  else subscribe(at('filter').value);
});

// ---- publishing ------------------------------------------------------------------------

// What the specification's tutorial writes.
const samples = {
  desired: {
    put: () => ({ alarm_armed: true }),
    patch: () => ({ alarm_armed: false }),
  },
  current: {
    put: () => ({ last_update: new Date().toISOString(), alarm_armed: false, siren_ringing: false, door_open: true }),
    patch: () => ({ last_update: new Date().toISOString(), door_open: false }),
  },
  _config: {
    put: () => ({ documents: { current: { _tsdb_trigger: 'on-change' } } }),
    patch: () => ({ documents: { current: { _tsdb_trigger: 'on-change' } } }),
  },
};

for (const button of document.querySelectorAll('[data-fill]')) {
  button.addEventListener('click', () => {
    const method = button.dataset.fill, name = at('document').value.trim();
    at('topic').value = `$SCW/twins/me/${name}/${method}`;
    // The hub ignores what a get brings.
    at('payload').value = method === 'get' ? '' : JSON.stringify({ data: samples[name]?.[method]() ?? {} }, null, 2);
    complain('topic', '');
    at(method === 'get' ? 'publish' : 'payload').focus();
  });
}

function publish() {
  const topic = at('topic').value, payload = at('payload').value;
  const wrong = !connected ? 'Connect first.'
    : topic === '' ? 'Where to? Get, Put and Patch above fill it in.'
    : /[+#]/.test(topic) ? 'A topic to publish to has no + and no #: those are for filters.'
    : '';
  complain('topic', wrong);
  if (wrong) return;
  try {
    client.publish(topic, payload);
  } catch (err) {
    complain('topic', `Not published: ${err.message}.`);
    return;
  }
  log('out', topic, payload);
  at('unheard').replaceChildren(...prose(
    !/^\$SCW\/twins\/[^/]+\/[^/]+\/(get|put|patch)$/.test(topic) ? 'No answer will come: a request’s topic is `$SCW/twins/me/DOCUMENT/` and then `get`, `put` or `patch`.'
    : filters.size === 0 ? 'Nothing is subscribed, so the hub’s answer does not arrive here.'
    : ''));
}

at('publishing').addEventListener('submit', event => {
  event.preventDefault();
  publish();
});
at('payload').addEventListener('keydown', event => {
  if (event.key !== 'Enter' || !event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  publish();
});

// ---- messages --------------------------------------------------------------------------

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' });

function log(direction, topic, payload) {
  const now = new Date();
  const time = make('time', '', clock.format(now));
  time.dateTime = now.toISOString();
  const way = make('span', 'way', direction === 'in' ? 'received' : 'published');
  const item = make('div', '', make('p', 'head', way, make('code', 'topic', topic), time), make('pre', 'payload', pretty(payload)));
  item.dataset.direction = direction;
  item.dataset.topic = topic;
  if (/\/response\/error$/.test(topic)) item.dataset.error = '';

  box.append(item);
  if (box.children.length > longestLog) box.firstElementChild.remove();
  toEnd();
  at('empty').hidden = true;
}

// The log stays at its end, unless somebody reads further up. What moves because the box has
// another size was moved by nobody.
const box = at('log');
let follow = true, size = '';
const sizeNow = () => `${box.clientWidth}x${box.clientHeight}`;
function toEnd() {
  if (follow) box.scrollTop = box.scrollHeight;
}
box.addEventListener('scroll', () => {
  if (sizeNow() === size) follow = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
});
new ResizeObserver(() => {
  size = sizeNow();
  toEnd();
}).observe(box);

// pretty indents JSON, and leaves everything else as it is, and what is too long. It moves nothing but spaces:
// JSON.parse and back would round numbers and change the order of keys.
function pretty(payload) {
  if (payload.length > longestPretty) return payload;
  try {
    JSON.parse(payload);
  } catch {
    return payload;
  }
  const tokens = payload.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g);
  let depth = 0, out = '';
  const line = () => '\n' + '  '.repeat(Math.min(depth, 40)); // the hub takes 32
  tokens.forEach((token, i) => {
    if ('{['.includes(token)) {
      depth++;
      out += token + ('}]'.includes(tokens[i + 1]) ? '' : line());
    } else if ('}]'.includes(token)) {
      depth--;
      out += ('{['.includes(tokens[i - 1]) ? '' : line()) + token;
    } else {
      out += token === ',' ? token + line() : token === ':' ? ': ' : token;
    }
  });
  return out;
}

at('clear').addEventListener('click', () => {
  box.replaceChildren();
  follow = true;
  at('empty').hidden = false;
});

// ---- what all have in common -----------------------------------------------------------

// complain says what is wrong with a field, below it; nothing is wrong with an empty text.
function complain(id, words) {
  at(`${id}-error`).replaceChildren(...prose(words));
  if (words === '') at(id).removeAttribute('aria-invalid');
  else at(id).setAttribute('aria-invalid', 'true');
}

// prose makes what stands in backticks a command or a topic.
function prose(words) {
  return words.split('`').map((part, i) => i % 2 ? make('code', '', part) : part);
}

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

// The id behind the # connects at once: that is what a link to a device is for. It
// never reaches a server's log.
function connectFromLink() {
  const id = location.hash.slice(1);
  if (id === '' || client) return;
  at('device').value = id;
  connect();
}

addEventListener('hashchange', connectFromLink);
document.title = at('title').textContent = `Console · ${location.host}`;
show('off', 'Not connected.');
connectFromLink();
