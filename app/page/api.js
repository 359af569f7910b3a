// What the page asks the app for, and the app's clock.

const patience = 20_000; // ms for an answer

// A Refusal is why the app did not do something: one of its own words, or no_answer.
export class Refusal extends Error {
  constructor(code, text = '', waitS = 0) {
    super(text);
    this.code = code;
    this.waitMS = waitS * 1000;
  }
}

// ask sends a request and returns what is answered.
export async function ask(method, path, body) {
  let answer, content;
  try {
    answer = await fetch(`api/${path}`, {
      method,
      cache: 'no-store',
      headers: body ? { 'Content-Type': 'application/json' } : {},
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(patience),
    });
    content = await answer.text();
  } catch (err) {
    throw new Refusal('no_answer', err.message);
  }
  setClock(answer.headers.get('Date'));
  let said = {};
  try {
    said = JSON.parse(content);
  } catch {
    // said below by its status
  }
  if (answer.ok) return said;
  throw new Refusal(said.error ?? (answer.status === 401 ? 'signed_out' : 'other'), said.text ?? `${answer.status} ${answer.statusText}`, said.wait_s);
}

// The phone's own clock may be wrong. Times of day are reckoned from the app's.
let clock = null;

function setClock(header) {
  const at = Date.parse(header ?? '');
  if (!Number.isNaN(at)) clock = at - performance.now();
}

// now is the time by the app's clock, to the second; null as long as it isn't known.
export const now = () => clock === null ? null : new Date(clock + performance.now());

// in says when something will be that is so many milliseconds away.
export const inMS = ms => clock === null ? null : new Date(clock + performance.now() + ms);
