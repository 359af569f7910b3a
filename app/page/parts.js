// The lists below the main card: faults, doors, and what happened.

import { at, fill, icon, make, write } from './dom.js';
import { now } from './api.js';
import { cap, has, language, slug, t, time } from './words.js';
import { door } from './say.js';

const fewEvents = 5;

// title names a part, and says if what it shows is old news.
function title(part, old) {
  write(at(`${part}-name`), old ? t(`${part}.old`) : t(part));
}

export function showFaults(view, telling) {
  const doors = (view?.known?.doors ?? []).filter(d => d.is === 'fault').map(d => ({ title: t('fault.door', { door: cap(door(d.name)) }), what: t('fault.door.do') }));
  const words = (view?.known?.faults ?? []).filter(word => word !== 'rings_used' || telling.row !== 'silenced').map(word => has(`fault.${word}.do`)
    ? { title: t(`fault.${word}`), what: t(`fault.${word}.do`) }
    : { title: t('fault.other', { word }), what: t('fault.other.do') });
  const all = [...words, ...doors];
  at('faults').hidden = all.length === 0;
  title('faults', telling.old);
  fill(at('faults-list'), all, f => make('li', 'fault', icon('warn'), make('div', '', make('strong', '', f.title), make('p', 'quiet', f.what))));
}

export function showDoors(view, telling) {
  const doors = view?.known?.doors ?? [];
  at('doors').hidden = doors.length < 2;
  title('doors', telling.old);
  const all = doors.map(d => ({ name: cap(door(d.name)), is: d.is, word: t(has(`is.${d.is}`) ? `is.${d.is}` : 'is.unknown') }));
  fill(at('doors-list'), all, d => {
    const item = make('li', 'door', icon(`door-${['closed', 'open'].includes(d.is) ? d.is : 'fault'}`), make('span', 'name', d.name), make('span', 'is', d.word));
    item.dataset.is = d.is;
    return item;
  });
}

let all = false;

export function showEvents(view, telling) {
  const events = view?.events ?? [];
  const today = now();
  const clock = view?.known?.faults?.includes('clock');
  write(at('events-note'), events.length === 0 ? t('events.none') : clock ? t('events.clock') : '');
  const shown = (all ? events : events.slice(0, fewEvents)).map(e => ({
    at: time(e.time, today, 'medium'), iso: e.time, what: what(e), why: why(e), loud: slug(e.what).startsWith('ring_started'), language,
  }));
  fill(at('events-list'), shown, e => {
    const when = make('time', '', e.at);
    when.dateTime = e.iso;
    return make('li', e.loud ? 'loud' : '', when, make('div', '', make('span', 'what', e.what), ...(e.why ? [make('span', 'why', e.why)] : [])));
  });
  const more = at('events-all');
  more.hidden = events.length <= fewEvents;
  more.setAttribute('aria-expanded', String(all));
  write(more, all ? t('events.few') : t('events.all', { n: events.length }));
}

export function listenToEvents(changed) {
  at('events-all').addEventListener('click', () => {
    all = !all;
    changed();
  });
}

function what(e) {
  const key = `event.${slug(e.what)}`;
  const words = has(key) ? t(key) : e.what;
  return e.contact ? t('event.about', { what: words, door: cap(door(e.contact)) }) : words;
}

// A reading as a reason: "front open", "back door open at the start".
const reading = /^(.+) (closed|open|fault|unknown)( at the start)?$/;

function why(e) {
  if (e.by) return t('why.by', { name: e.by });
  if (!e.why) return '';
  if (/^desired \d+$/.test(e.why)) return t('why.desired');
  const key = `why.${slug(e.why)}`;
  if (has(key)) return t(key);
  const found = reading.exec(e.why);
  if (!found) return e.why;
  const [, name, is, atStart] = found;
  const read = name === e.contact ? t(`is.${is}`) : t('why.reading', { door: door(name), is: t(`is.${is}`) });
  return atStart ? t('why.at_the_start', { what: read }) : read;
}
