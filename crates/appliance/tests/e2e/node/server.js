// A `ws` server. It prints {"port": n}, then one JSON line for each thing that it sees.
// Messages echo; text that starts with "/" is a command: see `commands`.
'use strict';
const { WebSocketServer } = require('ws');

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');

const commands = {
  close: (socket, code, reason) => socket.close(Number(code), reason),
  ping: (socket, payload) => socket.ping(payload),
  pong: (socket, payload) => socket.pong(payload),
  fragments: (socket, ...pieces) =>
    pieces.forEach((piece, i) => socket.send(piece, { fin: i === pieces.length - 1 })),
  push: (socket, count) => {
    for (let i = 0; i < Number(count); i++) socket.send(`push ${i}`);
  },
};

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  maxPayload: 32 * 1024 * 1024,
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has('chat.v1') ? 'chat.v1' : false),
});

server.on('listening', () => say({ port: server.address().port }));
server.on('connection', (socket, request) => {
  say({ event: 'open', url: request.url, extensions: socket.extensions, headers: request.headers });
  socket.on('message', (octets, isBinary) => {
    const [command, ...rest] = isBinary || octets.length > 1000 ? [] : octets.toString().split('|');
    if (command && command[0] === '/') commands[command.slice(1)](socket, ...rest);
    else socket.send(octets, { binary: isBinary });
  });
  socket.on('ping', (payload) => say({ event: 'ping', payload: payload.toString() }));
  socket.on('pong', (payload) => say({ event: 'pong', payload: payload.toString() }));
  socket.on('close', (code, reason) => say({ event: 'close', code, reason: reason.toString() }));
  socket.on('error', (error) => say({ event: 'error', message: error.message }));
});
