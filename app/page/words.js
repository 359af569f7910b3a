// The words: one file for each language, and how numbers and times are said in it.

import * as store from './store.js';

const languages = ['en', 'fr'];

let words = {};
export let language = 'en';
let locale = 'en';

// choose is the language that was chosen on this phone, else the first of the phone's own that there are words in.
export function choose() {
  const wanted = [store.get('language'), ...navigator.languages].map(l => String(l).slice(0, 2).toLowerCase());
  return wanted.find(l => languages.includes(l)) ?? languages[0];
}

export const other = () => languages.find(l => l !== language);

// load makes a language the page's.
export async function load(wanted) {
  const answer = await fetch(`words/${wanted}.json`, { cache: 'no-cache' });
  if (!answer.ok) throw new Error(`words/${wanted}.json: ${answer.status}`);
  words = await answer.json();
  language = wanted;
  locale = navigator.languages.find(l => l.startsWith(wanted)) ?? { en: 'en-GB', fr: 'fr-FR' }[wanted];
  document.documentElement.lang = wanted;
}

export const has = key => Object.hasOwn(words, key);

// t says a key, with values in the places of {names}. What there is no word for is said by its own name.
export function t(key, values = {}) {
  const text = has(key) ? words[key] : key.slice(key.indexOf('.') + 1);
  return text.replaceAll(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

// slug makes a key of what the panel calls something.
export const slug = text => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_').replaceAll(/^_|_$/g, '');

// cap begins a sentence: with the first letter, which may stand after a quotation mark.
export const cap = text => text.replace(/^(«\s)?./u, start => start.toLocaleUpperCase(locale));

export const list = names => new Intl.ListFormat(locale, { type: 'conjunction' }).format(names);

// age says a duration in the largest unit that fits.
export function age(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const [n, unit] = s < 60 ? [s, 's'] : s < 3600 ? [s / 60, 'min'] : s < 86400 ? [s / 3600, 'h'] : [s / 86400, 'd'];
  return t(`unit.${unit}`, { n: Math.floor(n) });
}

// left says a time that runs down, as on a clock: 0:32.
export function left(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
}

const formats = new Map();

function format(options) {
  const key = locale + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale, options));
  return formats.get(key);
}

// time says a moment, with its day unless that is today's: to the minute, or with the style medium to the second. The app's
// zero time, which stands for one that can't be read, is none. The hours stay on one line.
export function time(date, today, style = 'short') {
  const d = new Date(date);
  if (!(d.getTime() >= 0)) return '–';
  const hours = format({ timeStyle: style }).format(d).replaceAll(/\s/g, '\u00a0');
  if (today && d.toDateString() === today.toDateString()) return hours;
  const sameYear = !today || d.getFullYear() === today.getFullYear();
  return `${format({ day: 'numeric', month: 'short', ...(sameYear ? {} : { year: 'numeric' }) }).format(d)}, ${hours}`;
}
