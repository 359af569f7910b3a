// Who is signed in: the form, this phone's name, and the household's other phones.

import { at, fill, make, write } from './dom.js';
import { ask, now } from './api.js';
import { because } from './say.js';
import * as store from './store.js';
import { left, t, time } from './words.js';

// session is what the app says about this phone; null before it was asked.
export let session = null;

export async function look() {
  session = await ask('GET', 'session');
  if (session.name) store.set('name', session.name);
  return session;
}

// name is what this phone calls itself where there are no sessions.
export const name = () => session?.passphrase ? undefined : store.get('name') ?? undefined;

let entered = () => {};
let leave = () => {};

// listen calls in when this phone is signed in, and out when it no longer is.
export function listen({ signedIn, signedOut }) {
  entered = signedIn;
  leave = signedOut;
  at('signin').addEventListener('submit', event => {
    event.preventDefault();
    signIn();
  });
  at('reveal').addEventListener('change', () => {
    at('passphrase').type = at('reveal').checked ? 'text' : 'password';
  });
  at('rename').addEventListener('submit', event => {
    event.preventDefault();
    rename();
  });
  at('signout').addEventListener('click', () => act(async () => {
    await ask('DELETE', 'session');
    leave();
  }));
  at('phone').addEventListener('toggle', () => {
    write(at('phone-said'), ''); // it was about the list before
    if (at('phone').open) show();
  });
}

let waiting; // the timer of a wait after too many attempts

export function showSignIn(wasOut) {
  clearInterval(waiting);
  write(at('signin-said'), wasOut ? t('signin.out') : '');
  at('passphrase').value = '';
  at('phone-new').value ||= store.get('name') ?? '';
  at('signin-go').disabled = false;
  at('passphrase').focus();
}

async function signIn() {
  if (at('signin-go').disabled) return;
  clearInterval(waiting);
  at('signin-go').disabled = true;
  write(at('signin-said'), t('signin.going'));
  try {
    await ask('POST', 'session', { passphrase: at('passphrase').value, name: at('phone-new').value.trim() });
    store.set('name', at('phone-new').value.trim());
    at('passphrase').value = '';
    write(at('signin-said'), '');
    entered();
  } catch (why) {
    if (why.waitMS > 0) {
      hold(why);
      return;
    }
    at('signin-go').disabled = false;
    write(at('signin-said'), t('signin.failed', { why: because(why) }));
    at('passphrase').select();
    return;
  }
  at('signin-go').disabled = false;
}

// hold says how long to wait. Only the first sentence is announced: the rest is written at its end.
function hold(why) {
  const until = performance.now() + why.waitMS;
  const tick = () => {
    const ms = until - performance.now();
    at('signin-said').setAttribute('aria-live', 'off');
    if (ms > 0) {
      write(at('signin-said'), t('signin.failed', { why: t('error.too_many', { left: left(ms) }) }));
      return;
    }
    clearInterval(waiting);
    at('signin-said').removeAttribute('aria-live');
    write(at('signin-said'), '');
    at('signin-go').disabled = false;
  };
  write(at('signin-said'), t('signin.failed', { why: because(why) }));
  waiting = setInterval(tick, 1000);
}

// ---- this phone ------------------------------------------------------------------------

// show draws the part about this phone, and asks for the others if somebody looks at them.
export async function show() {
  const own = session?.passphrase ? session.name : store.get('name');
  write(at('phone-short'), own ?? '');
  if (document.activeElement !== at('phone-name')) at('phone-name').value = own ?? '';
  at('phone-open').hidden = session?.passphrase !== false;
  at('phones').hidden = !session?.passphrase;
  if (session?.passphrase && at('phone').open) await act(showPhones);
}

async function showPhones() {
  const { phones } = await ask('GET', 'phones');
  const today = now();
  const items = phones.map(p => ({
    id: p.id, this: p.this, name: p.name || t('nameless'),
    seen: p.this ? t('phones.this') : t('phones.seen', { time: time(p.seen, today) }),
    out: t('phones.out'), outOf: t('phones.out.of', { name: p.name || t('nameless') }),
  }));
  fill(at('phones-list'), items, p => {
    const item = make('li', 'phone', make('div', '', make('strong', '', p.name), make('span', 'quiet', p.seen)));
    if (p.this) return item;
    const out = make('button', 'outlined', p.out);
    out.type = 'button';
    out.setAttribute('aria-label', p.outOf);
    out.addEventListener('click', () => act(async () => {
      await ask('DELETE', `phones/${encodeURIComponent(p.id)}`);
      write(at('phone-said'), t('phones.gone', { name: p.name }));
      await showPhones();
      at('phone-name').focus();
    }));
    item.append(out);
    return item;
  });
}

const rename = () => act(async () => {
  const wanted = at('phone-name').value.trim();
  if (session.passphrase) {
    await ask('PATCH', 'session', { name: wanted });
    await look();
  }
  store.set('name', wanted);
  write(at('phone-said'), t('phone.saved'));
  await show();
});

// act does something and says why if it can't.
async function act(something) {
  try {
    await something();
  } catch (why) {
    if (why.code === 'signed_out') leave();
    else write(at('phone-said'), t('phone.failed', { why: because(why) }));
  }
}
