// A `ws` client: node client.js URL. It tries each property on a connection of its own and prints
// one JSON line {"name", "ok", "detail"} for each.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const WebSocket = require('ws');

const url = process.argv[2];
const WAIT_MS = 15000;

const next = async (socket, event) => once(socket, event, { signal: AbortSignal.timeout(WAIT_MS) });

async function echo(socket, message, options) {
  const answer = next(socket, 'message');
  socket.send(message, options);
  const [octets, isBinary] = await answer;
  return { octets, isBinary };
}

async function collect(socket, count) {
  const seen = [];
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${seen.length} of ${count}`)), WAIT_MS);
    socket.on('message', (octets) => {
      if (seen.push(octets.toString()) === count) {
        clearTimeout(timer);
        resolve();
      }
    });
  });
  return seen;
}

const digest = (octets) => crypto.createHash('sha256').update(octets).digest('hex');

const properties = {
  async text(socket) {
    for (const text of ['hello', '', '👩‍👩‍👧‍👦 שלום', '\u0000']) {
      const { octets, isBinary } = await echo(socket, text);
      assert.deepEqual([octets.toString(), isBinary], [text, false]);
    }
  },
  async binary(socket) {
    for (const sent of [Buffer.from([0, 255, 254]), Buffer.alloc(0), Buffer.alloc(70000, 7)]) {
      const { octets, isBinary } = await echo(socket, sent);
      assert.ok(isBinary && sent.equals(octets));
    }
  },
  async 'fragments-to-server'(socket) {
    const answer = next(socket, 'message');
    socket.send('in ', { fin: false });
    socket.send('three ', { fin: false });
    socket.send('parts', { fin: true });
    assert.equal((await answer)[0].toString(), 'in three parts');
  },
  async 'fragments-to-client'(socket) {
    const answer = next(socket, 'message');
    socket.send('/fragments|a|b|c');
    assert.equal((await answer)[0].toString(), 'abc');
  },
  async 'emoji-cut-across-fragments'(socket) {
    const emoji = Buffer.from('👍🏽');
    for (let cut = 1; cut < emoji.length; cut++) {
      const answer = next(socket, 'message');
      socket.send(emoji.subarray(0, cut), { fin: false, binary: false });
      socket.send(emoji.subarray(cut), { fin: true, binary: false });
      assert.equal((await answer)[0].toString(), '👍🏽');
    }
  },
  async 'ping-to-server'(socket) {
    const answer = next(socket, 'pong');
    socket.ping('from the client');
    assert.equal((await answer)[0].toString(), 'from the client');
  },
  async 'ping-to-client'(socket) {
    const ping = next(socket, 'ping');
    socket.send('/ping|from the server');
    assert.equal((await ping)[0].toString(), 'from the server');
  },
  async 'unsolicited-pongs'(socket) {
    const pong = next(socket, 'pong');
    socket.pong('nobody asked');
    socket.send('/pong|nobody asked either');
    assert.equal((await pong)[0].toString(), 'nobody asked either');
    assert.equal((await echo(socket, 'alive')).octets.toString(), 'alive');
  },
  async 'ten-mebibytes-of-text'(socket) {
    const text = '0123456789abcdef'.repeat(655360);
    const { octets, isBinary } = await echo(socket, text);
    assert.deepEqual([digest(octets), isBinary], [digest(text), false]);
  },
  async 'ten-mebibytes-of-binary'(socket) {
    const sent = crypto.randomBytes(10 * 1024 * 1024);
    const { octets, isBinary } = await echo(socket, sent);
    assert.deepEqual([digest(octets), isBinary], [digest(sent), true]);
  },
  async 'pipelined-messages-in-order'(socket) {
    const sent = Array.from({ length: 5000 }, (_, i) => `message ${i}`);
    const answers = collect(socket, sent.length);
    for (const message of sent) socket.send(message);
    assert.deepEqual(await answers, sent);
  },
  async 'pushes-in-order'(socket) {
    const answers = collect(socket, 1000);
    socket.send('/push|1000');
    assert.deepEqual(await answers, Array.from({ length: 1000 }, (_, i) => `push ${i}`));
  },
  async 'close-by-client'(socket) {
    const closed = next(socket, 'close');
    socket.close(4321, 'client is done');
    assert.equal((await closed)[0], 4321);
  },
  async 'close-by-server'(socket) {
    const closed = next(socket, 'close');
    socket.send('/close|3210|server is done');
    const [code, reason] = await closed;
    assert.deepEqual([code, reason.toString()], [3210, 'server is done']);
  },
  async 'close-without-a-body'(socket) {
    const closed = next(socket, 'close');
    socket.close();
    assert.equal((await closed)[0], 1005);
  },
  async subprotocol(socket) {
    assert.equal(socket.protocol, 'chat.v1');
  },
  async 'deflate-is-stripped'(socket) {
    assert.equal(socket.extensions, '');
  },
};

async function attempt(name, property) {
  const socket = new WebSocket(url, ['chat.v1', 'other'], {
    headers: { Cookie: 'session=abc', Authorization: 'Bearer t0ken' },
    maxPayload: 32 * 1024 * 1024,
  });
  try {
    await next(socket, 'open');
    await property(socket);
    return { name, ok: true, detail: '' };
  } catch (error) {
    return { name, ok: false, detail: String(error.message || error) };
  } finally {
    socket.on('error', () => {});
    socket.terminate();
  }
}

(async () => {
  for (const [name, property] of Object.entries(properties)) {
    process.stdout.write(JSON.stringify(await attempt(name, property)) + '\n');
  }
})();
