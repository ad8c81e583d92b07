// A `ws` client that compresses: node deflate.js URL. It ends with 0 when all messages come back as they were sent.
'use strict';
const assert = require('node:assert/strict');
const { once } = require('node:events');
const WebSocket = require('ws');

const url = process.argv[2];
const WAIT_MS = 15000;

const quote = (i) => JSON.stringify({ type: 'quote', symbol: `SYM${i % 40}`, bid: i * 1.25, text: '👩‍👩‍👧‍👦 שלום' });

async function attempt(options) {
  const socket = new WebSocket(url, ['chat.v1'], { perMessageDeflate: { threshold: 0, ...options } });
  await once(socket, 'open', { signal: AbortSignal.timeout(WAIT_MS) });
  assert.match(socket.extensions, /^permessage-deflate/);
  const messages = ['', 'short', Array.from({ length: 2000 }, (_, i) => quote(i)).join(','), ...Array.from({ length: 1000 }, (_, i) => quote(i))];
  const seen = [];
  const all = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${seen.length} of ${messages.length}`)), WAIT_MS);
    socket.on('error', reject);
    socket.on('close', (code, reason) => reject(new Error(`closed with ${code} ${reason}`)));
    socket.on('message', (octets) => {
      if (seen.push(octets.toString()) === messages.length + 1) {
        clearTimeout(timer);
        resolve();
      }
    });
  });
  for (const message of messages) socket.send(message);
  for (let i = 0; i < 20; i++) socket.send(quote(i), { fin: i === 19 });
  await all;
  assert.deepEqual(seen.slice(0, -1), messages);
  assert.equal(seen.at(-1), Array.from({ length: 20 }, (_, i) => quote(i)).join(''));
  socket.terminate();
}

(async () => {
  for (const bits of [9, 15, undefined]) {
    for (const takeover of [true, false]) {
      await attempt({
        serverNoContextTakeover: !takeover,
        clientNoContextTakeover: !takeover,
        ...(bits && { serverMaxWindowBits: bits, clientMaxWindowBits: bits }),
      });
    }
  }
  process.exit(0);
})();
