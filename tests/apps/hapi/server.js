const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const Hapi = require('@hapi/hapi');

const version = readFileSync(join(__dirname, 'VERSION'), 'utf8').trim();

async function main() {
  const server = Hapi.server({ port: process.env.PORT || 3000 });
  server.route({
    method: 'GET',
    path: '/',
    handler: (request, h) => h.response(`hapi ${version}\n`).header('X-App-Version', version),
  });
  await server.start();
  console.log('listening on', server.info.uri);
}

main();
