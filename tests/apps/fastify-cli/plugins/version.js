'use strict';

const { readFileSync } = require('node:fs');
const path = require('node:path');
const fp = require('fastify-plugin');

module.exports = fp(async function version(fastify) {
  const text = readFileSync(path.join(__dirname, '..', 'VERSION'), 'utf8').trim();
  fastify.decorate('appVersion', text);
  fastify.addHook('onSend', async (request, reply) => {
    reply.header('X-App-Version', text);
  });
});
