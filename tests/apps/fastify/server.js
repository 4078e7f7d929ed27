import { readFileSync } from 'node:fs';
import Fastify from 'fastify';

const version = readFileSync(new URL('VERSION', import.meta.url), 'utf8').trim();
const fastify = Fastify({ logger: true });

fastify.get('/', async (request, reply) => {
  reply.header('X-App-Version', version);
  return { app: 'fastify', version };
});

try {
  await fastify.listen({ port: process.env.PORT ?? 3000, host: '0.0.0.0' });
} catch (error) {
  fastify.log.error(error);
  process.exit(1);
}
