// The drawing of the house. It shows what is known, and looks old when that is.

import { at, write } from './dom.js';
import { t } from './words.js';
import { doors } from './say.js';

export function draw(view, telling) {
  const scene = at('scene');
  const known = view?.known;
  scene.dataset.door = door(known?.doors ?? []);
  scene.dataset.siren = known?.ringing ? 'on' : 'off';
  scene.dataset.lamp = known?.state ?? '';
  scene.dataset.known = known ? 'yes' : 'no';
  scene.dataset.old = telling.old ? 'yes' : 'no';
  const words = known && [t(`state.${known.state}`), doors(known.doors), ...(known.ringing ? [t('picture.siren')] : [])].join(', ');
  let label = words ? t('picture', { words }) : t('picture.unknown');
  if (words && telling.old) label = `${t('old')}. ${label}`;
  if (scene.getAttribute('aria-label') !== label) scene.setAttribute('aria-label', label);
  at('old').hidden = !(known && telling.old);
  write(at('old'), telling.since ? t('old.since', { age: telling.since }) : t('old'));
}

// The picture has one door: it is open if any is, and nobody's guess if one can't be read.
function door(all) {
  if (all.some(d => d.is === 'open')) return 'open';
  return all.length > 0 && all.every(d => d.is === 'closed') ? 'closed' : 'riddle';
}
