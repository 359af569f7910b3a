// What a view says, in words. Nothing here decides what is true: the app's server did.

import { age, cap, has, left, list, t, time } from './words.js';
import { inMS, now } from './api.js';

// Each row's colour, sign, and whether what the panel said last is old news in it.
const rows = {
  checking: ['grey', 'ask', true],
  never_seen: ['grey', 'ask', true],
  hub_away: ['grey', 'cloud', true],
  unreachable: ['grey', 'plug', true],
  silent: ['red', 'warn', true],
  disarmed: ['calm', 'unlock'],
  armed: ['main', 'shield'],
  'armed.but': ['amber', 'warn'], // armed, with a door that isn't guarded
  exit_delay: ['amber', 'clock'],
  entry_delay: ['amber', 'clock'],
  ringing: ['red', 'bell'],
  silenced: ['amber', 'bell'],
  arming: ['grey', 'dots'],
  disarming: ['grey', 'dots'],
  not_armed: ['amber', 'warn'],
  still_armed: ['amber', 'warn'],
  unintelligible: ['grey', 'ask', true],
  offline: ['grey', 'phone', true],
  app_away: ['grey', 'cloud', true],
  connecting: ['grey', 'dots', true],
};

// A telling is all that the main card says of a view that came since milliseconds ago over a link that is live, connecting
// or lost. Texts that change with time are apart: no screen reader should say them each second.
export function tell(view, link, since) {
  const row = link === 'live' ? view.row : { lost: lost(), connecting: 'connecting' }[link];
  const known = view?.known;
  const [tone, sign, old = false] = rows[row === 'armed' && notClosed(known.doors) ? 'armed.but' : row] ?? rows.unintelligible;
  const state = known && !old ? known.state : '';
  return {
    row, tone, sign, old, state,
    loud: row === 'ringing' || row === 'silent',
    main: main(row, known),
    known: old && known ? lastKnown(known) : '',
    more: more(row, view).join(' '),
    left: old ? null : countdown(known, since),
    age: ageLine(view, link, since),
    since: view?.heard_ms === undefined ? '' : age(view.heard_ms + since),
    late: old || view?.alive === 'late',
    urgent: ['ringing', 'entry_delay'].includes(state),
  };
}

// Whether it is this phone that has no connection: its own word is good only for that, not for how far a network reaches.
const lost = () => navigator.onLine ? 'app_away' : 'offline';

function main(row, known) {
  switch (row) {
    case 'armed': {
      const doubt = notClosed(known.doors);
      if (doubt) return t('armed.but', { doors: doubt });
      return t(known.local ? 'armed.local' : 'row.armed');
    }
    case 'disarmed':
      return t(known.local ? 'disarmed.local' : 'row.disarmed');
    case 'silenced':
      return t(ringsUsed(known) ? 'silenced.used' : 'row.silenced');
    case 'ringing':
      return ring(known);
  }
  return t(has(`row.${row}`) ? `row.${row}` : 'row.unintelligible');
}

function ring(known) {
  if (!known.rang_at) return t('row.ringing');
  const at = time(known.rang_at, now());
  if (!known.rang_by) return t('ring.since', { time: at });
  if (known.doors.find(d => d.name === known.rang_by)?.is === 'fault') return t('ring.unread', { door: cap(door(known.rang_by)), time: at });
  return unnamed(known.rang_by) ? t('ring.this', { time: at }) : t('ring.named', { door: cap(door(known.rang_by)), time: at });
}

function more(row, view) {
  const known = view?.known;
  const asked = () => {
    const at = time(view.wish.at, now(), 'medium');
    return view.wish.by ? t('more.asked.by', { name: view.wish.by, time: at }) : t('more.asked', { time: at });
  };
  switch (row) {
    case 'armed': {
      const open = known.doors.filter(d => d.is !== 'closed');
      if (open.length === 0) return [cap(doors(known.doors)) + '.'];
      const until = open.every(d => d.is === 'open') ? 'more.open' : 'more.unread';
      return [t(open.length > 1 ? `${until}.many` : until), ...(known.local ? [t('more.local')] : [])];
    }
    case 'disarmed':
      return [cap(doors(known.doors)) + '.'];
    case 'exit_delay':
      return [t('more.exit_delay'), cap(doors(known.doors)) + '.'];
    case 'entry_delay':
      return [known.left_ms === 0 ? t('more.entry_delay.over') : t('more.entry_delay')];
    case 'ringing':
      return known.left_ms > 0 && inMS(0) ? [t('more.ringing.until', { time: time(ringsUntil(view), now()) })] : [];
    case 'silenced': {
      if (ringsUsed(known)) return [t('more.silenced.used')];
      const open = known.doors.filter(d => d.is !== 'closed').map(d => door(d.name));
      return [open.length > 0 ? t('more.silenced', { doors: list(open) }) : t('more.silenced.closed')];
    }
    case 'arming':
    case 'disarming':
      return [asked()];
    case 'not_armed':
    case 'still_armed':
      return [t('more.unconfirmed'), asked()];
    case 'silent': {
      const why = `silence.${view.silence?.why}`;
      return [
        ...(has(why) ? [t(why, { time: time(view.silence.since, now(), 'medium') })] : []),
        t('more.go'),
        ...(view.hub ? [t('row.hub_away') + '.', hubAway(view.hub)] : []),
      ];
    }
    case 'hub_away':
      return [...(view.hub ? [hubAway(view.hub)] : []), meanwhile(row, known)];
    case 'unreachable':
      return [meanwhile(row, known)];
  }
  return has(`more.${row}`) ? [t(`more.${row}`)] : [];
}

const hubAway = ({ why, since }) => t(has(`hub.${why}`) ? `hub.${why}` : 'hub.other', { time: time(since, now()) });

// A panel out of sight guards on only if it was armed.
const meanwhile = (row, known) => t(known?.armed ? `more.${row}.armed` : `more.${row}`);

// The end of the ring, by the app's clock, as it was reckoned when the view came: it doesn't wander.
const ends = new WeakMap();

function ringsUntil(view) {
  if (!ends.has(view)) ends.set(view, inMS(view.known.left_ms));
  return ends.get(view);
}

function countdown(known, since) {
  if (known?.left_ms === undefined || !has(`left.${known.state}`)) return null;
  const ms = Math.max(0, known.left_ms - since);
  return { ms, text: left(ms), label: t(`left.${known.state}`) };
}

function ageLine(view, link, since) {
  if (!view) return '';
  if (view.heard_ms !== undefined) return t(link === 'live' && view.alive === 'late' && !rows[view.row]?.[2] ? 'age.late' : 'age.heard', { age: age(view.heard_ms + since) });
  return view.known?.last_update ? t('age.update', { time: time(view.known.last_update, now(), 'medium') }) : '';
}

const lastKnown = known => t('more.known', { state: t(`state.${known.state}`), doors: doors(known.doors) });

const ringsUsed = known => known.faults?.includes('rings_used') ?? false;

// ---- doors -----------------------------------------------------------------------------

const unnamed = name => name === 'door';

// door is a door's name as one says it.
export const door = name => unnamed(name) ? t('door') : name.replaceAll(/[-_]+/g, ' ');

// doors says all that there is to say about doors.
export const doors = all => notClosed(all) || t(all.length > 1 ? 'doors.closed.all' : 'doors.closed.this');

// notClosed says which doors are open or can't be read; empty if none is.
function notClosed(all) {
  const say = (key, some) => {
    if (some.length === 0) return [];
    const which = some.length > 1 ? 'many' : unnamed(some[0].name) ? 'this' : 'one';
    return [t(`${key}.${which}`, { doors: list(some.map(d => door(d.name))) })];
  };
  return [
    ...say('doors.open', all.filter(d => d.is === 'open')),
    ...say('doors.unread', all.filter(d => d.is !== 'open' && d.is !== 'closed')),
  ].join(', ');
}

// ---- the switch ------------------------------------------------------------------------

// asked is the position of the switch: what is asked for, or what is if nothing is asked; null if nobody knows.
export function asked(view, link, pending) {
  if (pending) return pending.armed;
  if (!view || link !== 'live') return null;
  if (view.wish?.outcome === 'waiting') return view.wish.armed;
  return rows[view.row]?.[2] ? null : view.known?.armed ?? null;
}

// settled says whether the panel does what the switch says.
export const settled = (view, link, pending) =>
  !pending && link === 'live' && view?.wish?.outcome !== 'waiting' && !rows[view?.row]?.[2] && view?.known !== undefined;

// wishes says what became of a wish, or what will become of one: {text, left, again}.
export function wishes(view, link, since) {
  if (link === 'lost') return { text: t(lost() === 'offline' ? 'hint.offline' : 'hint.app_away') };
  if (link !== 'live' || !view) return { text: '' };
  const wish = view.wish;
  const what = wish?.armed ? 'arm' : 'disarm';
  const by = wish?.by ? '.by' : '';
  const away = rows[view.row]?.[2] || view.alive === 'late';
  if (wish?.outcome === 'waiting') {
    if (view.row === 'ringing') {
      return wish.age_ms + since < 15_000 ? { text: t('wish.disarm.asked') } : { text: t('wish.disarm.late'), again: wish.armed };
    }
    if (away) {
      const ms = wish.left_ms === undefined ? null : Math.max(0, wish.left_ms - since);
      return { text: t(`wish.${what}.waits${by}`, { name: wish.by }), left: ms === null ? '' : t('wish.left', { left: left(ms) }) };
    }
    return { text: '', again: ['not_armed', 'still_armed'].includes(view.row) ? wish.armed : undefined };
  }
  if (wish?.outcome === 'withdrawn') return { text: t(`wish.withdrawn${by}`, { name: wish.by }), again: true };
  if (view.row === 'hub_away' || view.hub) return { text: t('hint.hub_away') };
  if (['unreachable', 'never_seen', 'silent'].includes(view.row)) return { text: t('hint.waits') };
  if (wish?.outcome === 'overruled') return { text: t(`wish.overruled.${what}`) };
  return { text: '' };
}

// because is why the app did not do something.
export const because = why => t(has(`error.${why.code}`) ? `error.${why.code}` : 'error.other', { text: why.message, left: left(why.waitMS) });
