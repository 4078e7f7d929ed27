var fs = require('fs');
var path = require('path');
var express = require('express');

var router = express.Router();
var version = fs.readFileSync(path.join(__dirname, '..', 'VERSION'), 'utf8').trim();

router.get('/', function (req, res) {
  res.set('X-App-Version', version).send('express-generator ' + version + '\n');
});

module.exports = router;
