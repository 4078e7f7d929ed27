const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const express = require('express');

const version = readFileSync(join(__dirname, 'VERSION'), 'utf8').trim();
const port = process.env.PORT || 3000;
const app = express();

app.get('/', (req, res) => {
  res.set('X-App-Version', version).send(`pnpm ${version}\n`);
});

app.listen(port, (error) => {
  if (error) throw error;
  console.log(`listening on ${port}`);
});
