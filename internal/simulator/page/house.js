// The page of the simulated house: shows what the stream of events says, nothing else.
// A click asks the server; the door moves when the stream says that it did.

const lamps = {
  disarmed: ['Disarmed', 'The siren stays silent.'],
  exit_delay: ['Arming', 'Time to leave.'],
  armed: ['Armed', 'Opening the door rings.'],
  entry_delay: ['Entry delay', 'Disarm now or it rings.'],
  ringing: ['Alarm!', 'Disarm to silence it.'],
  silenced: ['Silenced', 'Armed; the siren had its time.'],
};
const unknownLamp = ['Unknown', 'No panel has told its state.'];

const longestSilence = 40_000; // ms; the server sends a line every 15 s
const reconnectPause = 2_000; // ms

const house = document.getElementById('house');
const at = id => document.getElementById(id);

// ---- what the house says ---------------------------------------------------------------

let doors = {};
let names = [];

function show(event) {
  doors = event.doors;
  names = event.names;
  const front = doors[names[0]];
  const [lampWord, lampNote] = lamps[event.lamp] ?? unknownLamp;

  house.dataset.door = front.open ? 'open' : 'closed';
  house.dataset.fault = front.fault ? 'yes' : 'no';
  house.dataset.siren = event.siren_on ? 'on' : 'off';
  house.dataset.lamp = event.lamp;

  write('door-name', label(names[0]));
  write('door-word', doorWord(front));
  write('door-note', doorNote(front));
  write('lamp-word', lampWord);
  write('lamp-note', lampNote);
  write('siren-word', event.siren_on ? 'Sounding' : 'Silent');
  write('siren-note', sirenNote(event.siren_on));
  write('move', front.open ? 'Close the door' : 'Open the door');
  write('break', front.fault ? 'Repair the input' : 'Break the input');
  at('door').setAttribute('aria-label', `${label(names[0])}, ${doorWord(front)}. ${front.open ? 'Close it' : 'Open it'}`);
  showOthers();
  sound.follow(event.siren_on);
  // Two frames: the first one draws what is, without moving.
  requestAnimationFrame(() => requestAnimationFrame(() => house.classList.remove('still')));
}

// write changes a text only if it differs: a screen reader repeats what is written.
function write(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}

const label = name => name === 'door' ? 'Front door' : (name[0].toUpperCase() + name.slice(1)).replaceAll(/[-_]/g, ' ');
const doorWord = d => d.fault ? 'No reading' : d.open ? 'Open' : 'Closed';
const doorNote = d => d.fault ? `It is ${d.open ? 'open' : 'closed'}, but its input is broken.` : '';
const sirenNote = on => on && !sound.on ? 'Press “Sound on” to hear it.' : '';

function showOthers() {
  const list = at('others').querySelector('ul');
  const others = names.slice(1);
  at('others').hidden = others.length === 0;
  if (list.children.length !== others.length) {
    list.replaceChildren(...others.map(otherDoor));
  }
  others.forEach((name, i) => {
    const d = doors[name];
    const item = list.children[i];
    item.dataset.door = d.open ? 'open' : 'closed';
    item.dataset.fault = d.fault ? 'yes' : 'no';
    item.querySelector('.word').textContent = doorWord(d);
    const [move, fault] = item.querySelectorAll('button');
    move.textContent = d.open ? 'Close' : 'Open';
    move.setAttribute('aria-label', `${move.textContent} ${label(name)}`);
    fault.textContent = d.fault ? 'Repair input' : 'Break input';
    fault.setAttribute('aria-label', `${fault.textContent} of ${label(name)}`);
  });
}

function otherDoor(name) {
  const make = (tag, className, ...children) => {
    const e = document.createElement(tag);
    e.className = className;
    e.append(...children);
    return e;
  };
  const button = act => {
    const b = make('button', '');
    b.type = 'button';
    b.addEventListener('click', () => act(name));
    return b;
  };
  const word = make('p', 'word');
  word.setAttribute('role', 'status');
  return make('li', '',
    make('div', 'card', document.querySelector('.card.door .icon').cloneNode(true), make('h2', '', label(name)), word),
    make('div', 'controls', button(move), button(toggleFault)));
}

// ---- what one can do -------------------------------------------------------------------

const move = name => put(name, { open: !doors[name].open });
const toggleFault = name => put(name, { fault: !doors[name].fault });

async function put(name, wish) {
  try {
    const answer = await fetch(`api/house/doors/${encodeURIComponent(name)}`, { method: 'PUT', body: JSON.stringify(wish) });
    if (!answer.ok) throw new Error((await answer.json()).error);
    write('failed', '');
  } catch (err) {
    write('failed', `That did not reach the house: ${err.message}`);
  }
}

const front = act => () => { if (names.length > 0) act(names[0]); };
at('move').addEventListener('click', front(move));
at('break').addEventListener('click', front(toggleFault));
at('door').addEventListener('click', front(move));
at('door').addEventListener('keydown', e => {
  if (e.key !== 'Enter' && e.key !== ' ') return;
  e.preventDefault(); // space would scroll
  if (!e.repeat) front(move)();
});
document.addEventListener('keydown', e => {
  if (e.key.toLowerCase() === 'd' && !e.repeat && !e.ctrlKey && !e.metaKey && !e.altKey) front(move)();
});

// ---- the sound -------------------------------------------------------------------------

// Two tones in turn, quiet. A browser lets a page sound only after a click.
const sound = {
  on: false,
  sirenOn: false,
  audio: null,
  voice: null,

  toggle() {
    this.on = !this.on;
    write('sound', this.on ? 'Sound off' : 'Sound on');
    if (this.on) {
      this.audio ??= new AudioContext();
      this.audio.resume();
    }
    this.follow(this.sirenOn);
    write('siren-note', sirenNote(this.sirenOn));
  },

  follow(sirenOn) {
    this.sirenOn = sirenOn;
    const wanted = sirenOn && this.on;
    if (wanted && !this.voice) this.start();
    if (!wanted && this.voice) this.stop();
  },

  start() {
    const tone = this.audio.createOscillator();
    const swing = this.audio.createOscillator(); // a square: up, down
    const depth = this.audio.createGain();
    const volume = this.audio.createGain();
    tone.type = 'triangle';
    tone.frequency.value = 820;
    swing.type = 'square';
    swing.frequency.value = 1.3;
    depth.gain.value = 130;
    volume.gain.setValueAtTime(0, this.audio.currentTime);
    volume.gain.linearRampToValueAtTime(0.08, this.audio.currentTime + 0.05);
    swing.connect(depth).connect(tone.frequency);
    tone.connect(volume).connect(this.audio.destination);
    tone.start();
    swing.start();
    this.voice = { tone, swing, volume };
  },

  stop() {
    const { tone, swing, volume } = this.voice;
    const end = this.audio.currentTime + 0.05;
    volume.gain.linearRampToValueAtTime(0, end);
    tone.stop(end);
    swing.stop(end);
    this.voice = null;
  },
};
at('sound').addEventListener('click', () => sound.toggle());

// ---- the connection --------------------------------------------------------------------

let silence;

function connected(yes) {
  house.classList.toggle('lost', !yes);
  write('lost', yes ? '' : 'Connection to the house lost. Trying again…');
  for (const b of house.querySelectorAll('button')) if (b.id !== 'sound') b.disabled = !yes;
  if (!yes) sound.follow(false); // nobody knows
}

function connect() {
  const events = new EventSource('api/house/events');
  const lost = () => {
    clearTimeout(silence);
    events.close();
    connected(false);
    setTimeout(connect, reconnectPause);
  };
  events.onmessage = message => {
    clearTimeout(silence);
    silence = setTimeout(lost, longestSilence);
    connected(true);
    show(JSON.parse(message.data));
  };
  events.onerror = lost;
}

connect();
