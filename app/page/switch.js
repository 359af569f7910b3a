// The switch: two buttons, and what became of the last tap.

import { at, write } from './dom.js';
import { ask } from './api.js';
import { t } from './words.js';
import { asked, because, settled, wishes } from './say.js';

// hide takes a button away. Who was on it stays at the switch, but on none of its buttons: Enter would do what nobody meant.
function hide(id, hidden) {
  if (hidden && document.activeElement === at(id)) at('dock').focus({ preventScroll: true });
  at(id).hidden = hidden;
}

// A Switch sends wishes. changed is called when there is something else to show; refused when this phone is signed out.
export class Switch {
  #name;
  #changed;
  #signedOut;
  #pending = null; // the wish that is under way
  #failed = null; // why the last one was not taken
  #taps = 0;

  // name gives the phone's name where there are no sessions, else undefined.
  constructor({ name, changed, signedOut }) {
    this.#name = name;
    this.#changed = changed;
    this.#signedOut = signedOut;
    at('arm').addEventListener('click', () => this.#tap(true));
    at('disarm').addEventListener('click', () => this.#tap(false));
    at('again').addEventListener('click', () => this.#tap(at('again').dataset.armed === 'true'));
  }

  // show is told each view when it comes, by its age of 0, and whenever time has passed.
  show(view, link, since, telling) {
    const armed = asked(view, link, this.#pending);
    const sure = settled(view, link, this.#pending);
    for (const [id, is] of [['arm', armed === true], ['disarm', armed === false]]) {
      at(id).setAttribute('aria-pressed', String(is));
      at(id).classList.toggle('asked', is && !sure);
    }
    at('dock').classList.toggle('alone', telling.urgent);
    hide('arm', telling.urgent);

    const says = this.#says(view, link, since);
    write(at('said'), says.text);
    write(at('said-left'), says.left ?? '');
    at('said').classList.toggle('failed', says.again !== undefined);
    hide('again', says.again === undefined || telling.urgent); // there is one button then
    at('again').dataset.armed = String(says.again);
  }

  #says(view, link, since) {
    const p = this.#pending;
    if (p) return { text: t(p.armed ? 'sending.arm' : 'sending.disarm') };
    const f = this.#failed;
    if (f) {
      return { text: t(f.armed ? 'failed.arm' : 'failed.disarm', { why: because(f.why) }), again: f.armed };
    }
    return wishes(view, link, since);
  }

  // A second tap on the same button while the first is under way adds nothing.
  async #tap(armed) {
    if (this.#pending?.armed === armed) return;
    const tap = ++this.#taps;
    this.#pending = { armed };
    this.#failed = null;
    this.#changed();
    try {
      const answer = await ask('POST', 'wish', { armed, name: this.#name() });
      if (tap === this.#taps) this.#changed(answer.wish);
    } catch (why) {
      if (why.code === 'signed_out') this.#signedOut();
      if (tap === this.#taps) this.#failed = { armed, why };
    }
    if (tap !== this.#taps) return; // a later tap counts
    this.#pending = null;
    this.#changed();
  }

  // forget drops what was said of a failure: something new is known.
  forget() {
    this.#failed = null;
  }
}
