// The stream of views. It is judged by its own silence: the app sends a view at least every 15 s.

const longestSilence = 25_000; // ms
const shortGap = 2_000; // an app that starts anew is back by then
const firstPause = 1_000; // before the second attempt, doubled up to the longest
const longestPause = 10_000;
const hiddenPatience = 60_000; // a phone in a pocket need not be told
const asleep = 5_000; // a page that is seen turns each second, unless its computer sleeps

// A Stream calls on.view with each view, on.lost when none can be relied on any more, on.woken when nobody knows how long the
// page has slept, and on.doubt before another attempt: the browser doesn't tell whether the app refused.
export class Stream {
  #on;
  #source = null;
  #pause = 0;
  #silence; // timers
  #gap;
  #retry;
  #pocket;
  #turn;

  constructor(on) {
    this.#on = on;
  }

  // start connects, and again whenever that is needed.
  start() {
    this.#connect();
    addEventListener('online', this.#again);
    addEventListener('offline', this.#lost);
    addEventListener('pageshow', this.#shown);
    document.addEventListener('visibilitychange', this.#seen);
    // A computer whose lid was shut tells its page nothing, and may have stopped the clock that the page counts by.
    let turned = Date.now();
    this.#turn = setInterval(() => {
      const slept = Date.now() - turned >= asleep;
      turned = Date.now();
      if (slept && !document.hidden) this.#wake();
    }, 1000);
  }

  stop() {
    this.#close();
    clearInterval(this.#turn);
    removeEventListener('online', this.#again);
    removeEventListener('offline', this.#lost);
    removeEventListener('pageshow', this.#shown);
    document.removeEventListener('visibilitychange', this.#seen);
  }

  #connect() {
    this.#hangUp();
    this.#source = new EventSource('api/stream');
    this.#source.onerror = this.#fail;
    this.#source.onmessage = message => {
      let view;
      try {
        view = JSON.parse(message.data);
      } catch {
        return; // the silence will tell
      }
      clearTimeout(this.#gap);
      this.#gap = undefined;
      this.#pause = 0;
      this.#listen();
      this.#on.view(view);
    };
    this.#listen();
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#lost();
      this.#fail();
    }, longestSilence);
  }

  #hangUp() {
    clearTimeout(this.#silence);
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #close() {
    this.#hangUp();
    clearTimeout(this.#gap);
    clearTimeout(this.#pocket);
    this.#gap = undefined;
  }

  #lost = () => this.#on.lost();

  // The first attempt follows at once.
  #fail = () => {
    this.#hangUp();
    this.#gap ??= setTimeout(this.#lost, shortGap);
    this.#retry = setTimeout(() => {
      this.#on.doubt();
      this.#connect();
    }, this.#pause);
    this.#pause = Math.min(2 * this.#pause || firstPause, longestPause);
  };

  #again = () => {
    if (document.hidden) return;
    this.#pause = firstPause;
    this.#connect();
  };

  #shown = event => {
    if (event.persisted) this.#wake();
  };

  // The timers of a phone that sleeps sleep as well.
  #seen = () => {
    clearTimeout(this.#pocket);
    if (document.hidden) this.#pocket = setTimeout(() => this.#close(), hiddenPatience);
    else this.#wake();
  };

  #wake() {
    this.#on.woken();
    this.#again();
  }
}
