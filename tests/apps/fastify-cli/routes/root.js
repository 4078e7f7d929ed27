'use strict';

module.exports = async function root(fastify) {
  fastify.get('/', async () => ({ app: 'fastify-cli', version: fastify.appVersion }));
};
