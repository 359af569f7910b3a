// MQTT 3.1.1 over WebSocket, as much of it as a page needs: clean sessions, QoS 0.
// Rules are cited by their numbers in the standard.

const keepAlive = 60; // s; the hub gives up after one and a half of it
const pingEvery = 30_000; // ms
const patience = 10_000; // ms, for the hub to answer

const CONNECT = 0x10, CONNACK = 2, PUBLISH = 0x30, SUBSCRIBE = 0x82, SUBACK = 9, UNSUBSCRIBE = 0xa2, UNSUBACK = 11,
  PINGREQ = 0xc0, PINGRESP = 13, DISCONNECT = 0xe0; // to the hub with their flags, from it the type alone

// A Client is one connection, from its beginning to its end. Its events:
//
//   connected()
//   message(topic, payload)   payload: a string
//   ended({ connack, code, reason, opened, silent })   once, whatever ended it: the return code of a refusal;
//                             code and reason of the WebSocket's end; whether there was a WebSocket
//                             at all; whether the hub gave no answer
export class Client {
  #ws;
  #on;
  #bytes = new Uint8Array(); // of a packet that isn't complete yet
  #id = 0;
  #asked = new Map(); // packet id → what to do with the answer
  #ended = { opened: false };
  #timer;

  // The device's id goes into the user name: with an empty client id a device that may
  // have several connections can have several consoles.
  // The secret is the password; empty = none.
  constructor(url, deviceID, secret, on) {
    this.#on = on;
    this.#ws = new WebSocket(url, 'mqtt');
    this.#ws.binaryType = 'arraybuffer';
    this.#ws.onopen = () => {
      this.#ended.opened = true;
      const password = secret ? [text(secret)] : [];
      const flags = 0x82 | (secret ? 0x40 : 0); // user name, clean session, password
      this.#send(CONNECT, text('MQTT'), [4, flags], number(keepAlive), text(''), text(deviceID), ...password);
    };
    this.#ws.onmessage = event => {
      try {
        this.#take(new Uint8Array(event.data));
      } catch (err) {
        this.#giveUp({ reason: err.message });
      }
    };
    this.#ws.onclose = event => this.#end(event);
    this.#expect();
  }

  // subscribe answers with the return code: 0, or 0x80 if the hub refuses the filter.
  subscribe(filter) { return this.#ask(SUBSCRIBE, text(filter), [0]); }

  unsubscribe(filter) { return this.#ask(UNSUBSCRIBE, text(filter)); }

  publish(topic, payload) { this.#send(PUBLISH, text(topic), encoder.encode(payload)); }

  // end says good-bye.
  end() {
    if (this.#ws.readyState === WebSocket.OPEN) this.#send(DISCONNECT);
    this.#giveUp({ code: 1000 });
  }

  #ask(type, ...fields) {
    this.#id = this.#id % 0xffff + 1; // never 0 [MQTT-2.3.1-1]
    const id = this.#id;
    this.#send(type, number(id), ...fields);
    return new Promise((done, failed) => this.#asked.set(id, { done, failed }));
  }

  #send(type, ...fields) {
    const length = fields.reduce((sum, field) => sum + field.length, 0);
    const packet = [type];
    for (let rest = length; ; rest >>= 7) { // seven bits at a time [section 2.2.3]
      packet.push(rest > 0x7f ? rest & 0x7f | 0x80 : rest);
      if (rest <= 0x7f) break;
    }
    this.#ws.send(join(new Uint8Array(packet), ...fields));
  }

  // take gets bytes as they come: a message may hold half a packet, or three [MQTT-6.0.0-2].
  #take(bytes) {
    this.#bytes = join(this.#bytes, bytes);
    for (;;) {
      let length = 0, at = 1;
      for (let shift = 0; ; shift += 7, at++) {
        if (at >= this.#bytes.length) return;
        if (shift > 21) throw new Error('the hub sent a packet whose length has more than four bytes');
        length |= (this.#bytes[at] & 0x7f) << shift;
        if (this.#bytes[at] < 0x80) break;
      }
      at++;
      if (this.#bytes.length < at + length) return;
      const first = this.#bytes[0], body = this.#bytes.subarray(at, at + length);
      this.#bytes = this.#bytes.subarray(at + length);
      this.#packet(first, body);
    }
  }

  #packet(first, body) {
    switch (first >> 4) {
      case CONNACK:
        if (body[1] !== 0) {
          this.#ended.connack = body[1]; // the hub closes
          return;
        }
        this.#ping();
        this.#on.connected();
        return;
      case PUBLISH >> 4: {
        const length = body[0] << 8 | body[1];
        // At QoS 0 no packet id is in between. The hub sends nothing else.
        this.#on.message(decoder.decode(body.subarray(2, 2 + length)), decoder.decode(body.subarray(2 + length)));
        return;
      }
      case SUBACK:
      case UNSUBACK: {
        const id = body[0] << 8 | body[1];
        this.#asked.get(id)?.done(body[2]);
        this.#asked.delete(id);
        return;
      }
      case PINGRESP:
        this.#ping();
        return;
      default:
        throw new Error(`the hub sent a packet of type ${first >> 4}`);
    }
  }

  // ping asks again after a while; a hub that doesn't answer is given up.
  #ping() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#send(PINGREQ);
      this.#expect();
    }, pingEvery);
  }

  #expect() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#giveUp({ silent: true }), patience);
  }

  // giveUp doesn't wait for the hub to agree, which may never happen.
  #giveUp(why) {
    this.#ws.close();
    this.#end(why);
  }

  #end(why) {
    clearTimeout(this.#timer);
    this.#ws.onopen = this.#ws.onmessage = this.#ws.onclose = null;
    for (const { failed } of this.#asked.values()) failed(new Error('the connection has ended'));
    this.#asked.clear();
    this.#on.ended({ ...this.#ended, code: why.code, reason: why.reason, silent: why.silent });
  }
}

const encoder = new TextEncoder(), decoder = new TextDecoder();

const number = n => [n >> 8, n & 0xff];

// text is a string with its length before it.
function text(s) {
  const bytes = encoder.encode(s);
  if (bytes.length > 0xffff) throw new RangeError('it is longer than 65535 bytes');
  return join(number(bytes.length), bytes);
}

function join(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
