const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const Koa = require('koa');

const version = readFileSync(join(__dirname, 'VERSION'), 'utf8').trim();
const app = new Koa();

app.use(async (ctx, next) => {
  ctx.set('X-App-Version', version);
  await next();
});

app.use((ctx) => {
  if (ctx.path === '/') ctx.body = `koa ${version}\n`;
});

app.listen(process.env.PORT || 3000);
