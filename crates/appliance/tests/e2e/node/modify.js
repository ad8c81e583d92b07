// A `ws` client through a policy that changes messages: node modify.js URL. It ends with 0 when what comes back is as it should be.
'use strict';
const assert = require('node:assert/strict');
const { once } = require('node:events');
const WebSocket = require('ws');

const WAIT_MS = 15000;
const REPLY = '{"error":"blocked"}';
const filler = 'a text that is long enough to be compressed, again and again and again: ';

// What is sent, and what comes back.
const CASES = [
  ['{"user":{"email":"ann@example.com"},"n":1.50}', '{"user":{"email":"***********.com"},"n":1.50}'],
  [JSON.stringify({ note: `${filler}secret`, user: {} }), JSON.stringify({ note: `${filler}******`, user: {} })],
  [JSON.stringify(['attack', filler]), REPLY],
  ['["se\\u0063ret"]', '["******"]'],
  ['["attack"]', REPLY],
  [JSON.stringify({ text: '👩‍👩‍👧‍👦 שלום', more: filler }), JSON.stringify({ text: '👩‍👩‍👧‍👦 שלום', more: filler })],
];

(async () => {
  for (const perMessageDeflate of [false, { threshold: 0 }]) {
    const socket = new WebSocket(process.argv[2], { perMessageDeflate });
    await once(socket, 'open', { signal: AbortSignal.timeout(WAIT_MS) });
    for (const [sent, expected] of [...CASES, ...CASES]) {
      const answer = once(socket, 'message', { signal: AbortSignal.timeout(WAIT_MS) });
      socket.send(sent);
      assert.equal((await answer)[0].toString(), expected);
    }
    socket.terminate();
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
