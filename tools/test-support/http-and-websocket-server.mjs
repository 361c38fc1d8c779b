// @ts-check
// To be run in a pod's network: says how many connections it has had, and echoes over WebSocket.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

let connections = 0;
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => {
    body += String(chunk);
  });
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ method: request.method, path: request.url, body, connections }));
  });
});
server.on('connection', () => {
  connections += 1;
});
new WebSocketServer({ server }).on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => process.stdout.write('listening\n'));
