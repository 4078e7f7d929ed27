// A build finds what only a build needs.
const isNumber = require('is-number');
console.log(`${isNumber(1)}: built by ${process.env.npm_config_user_agent}`);
