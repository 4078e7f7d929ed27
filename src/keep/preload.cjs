// Loaded into every node process of an app with `node --require`. It sends the app's first listen on PORT to the
// socket that handover holds for it, tells `keep` that the app listens, and asks clients to reconnect once the app
// is being replaced. Whatever goes wrong in here must never become an error of the app's.
//
// Many processes load this that never serve (npm, tsx, cross-env, scripts that the app starts): for them it costs one
// patched function. The channel to `keep` is opened by the first listen, one by each process that serves: a
// descriptor that all of them shared could deliver `drain` to one of them only, and cluster has many.
//
// Written for node 12 and later; no syntax newer than that.
'use strict';

(function handover() {
  var env = process.env;
  if (!env.HANDOVER_FD || !env.HANDOVER_PORT) return;

  // The listener, and copies of it. node can't duplicate a descriptor, and closing a server closes its descriptor:
  // programs that try a port, close it and listen again, and a cluster whose workers all died and were started again,
  // need a fresh one each time. When all are used up the port itself is listened on, and `keep` relays to it.
  var LISTENERS = [100, 104, 105, 106, 107, 108, 109, 110, 111];
  // The reading ends of this process' own stdout and stderr: see `outliveKeep`.
  var OUTPUTS = [102, 103];
  var BACKLOG = 4096;
  // Longer than any front keeps an idle connection (nginx 60 s, hyper 90 s, Caddy 120 s): it is always the front that
  // closes it. Were it us, a request could already be on its way.
  var KEEP_ALIVE_MS = 150000;
  var NODE_DEFAULT_KEEP_ALIVE_MS = 5000;
  var NODE_DEFAULT_HEADERS_MS = 60000;

  var PORT = Number(env.HANDOVER_PORT);
  var SOCKET = env.HANDOVER_SOCKET;
  var INSTANCE = Number(env.HANDOVER_INSTANCE) || 0;

  var fs = require('fs');
  var net = require('net');
  var threads = quietly(function () { return require('worker_threads'); });
  // Descriptors belong to the process and a thread can't be told apart in it: its listen goes to the port, relayed.
  if (threads && !threads.isMainThread) return;

  var used = {};          // numbers in LISTENERS that this process has given to a server
  var accepting = [];     // what accepts on the listener in this process: server and handle
  var sockets = new Set(); // their connections
  var upgraded = 0;       // of these, upgraded ones (WebSockets)
  var draining = false;
  var leaving = false;
  var channel = null;
  var reporting = null;

  var compiling = quietly(enableCompileCache) === true;
  var originalListen = net.Server.prototype.listen;
  var originalClose = net.Server.prototype.close;

  net.Server.prototype.listen = function listen() {
    var args = Array.prototype.slice.call(arguments);
    var plan = null;
    try {
      plan = planFor(this, args);
    } catch (_) {
      plan = null;
    }
    return originalListen.apply(this, plan || args);
  };

  // The arguments to use in place of the app's, or null to leave them alone.
  function planFor(server, args) {
    if (server._handoverAddress) {
      delete server.address;
      delete server._handoverAddress;
    }
    var wanted = wantedBy(args[0], args[1]);
    if (!wanted) return null;
    var byFd = LISTENERS.indexOf(wanted.fd) >= 0;
    var mine = byFd || wanted.port === PORT || (SOCKET !== undefined && wanted.path === SOCKET);
    if (!mine) {
      if (wanted.port || wanted.path) reportElsewhere(server, wanted);
      return null;
    }
    var fd = takeListener(wanted.fd);
    if (fd < 0) {
      server.once('listening', function () {
        quietly(function () { send({ type: 'listening-on-port' }); });
      });
      // Only a descriptor of ours has to be replaced; a listen on the port is right as it is.
      return byFd ? withCallback([{ port: PORT, host: '127.0.0.1', backlog: BACKLOG }], args) : null;
    }
    adopt(server, wanted, isWorker());
    var options = { fd: fd, backlog: BACKLOG };
    if (args[0] && typeof args[0] === 'object' && args[0].signal) options.signal = args[0].signal;
    return withCallback([options], args);
  }

  function withCallback(plan, args) {
    var last = args[args.length - 1];
    if (typeof last === 'function') plan.push(last);
    return plan;
  }

  // What a listen asks for, in the order in which node itself looks at it.
  function wantedBy(first, second) {
    if (first !== null && typeof first === 'object') {
      if (first._handle || first instanceof net.Server) return null;
      if (typeof first.fd === 'number' && first.fd >= 0) return { fd: first.fd };
      if (isPort(first.port)) return { port: Number(first.port), host: first.host };
      if (typeof first.path === 'string') return { path: first.path };
      return null;
    }
    if (isPort(first)) {
      return { port: Number(first), host: typeof second === 'string' ? second : undefined };
    }
    return typeof first === 'string' ? { path: first } : null;
  }

  function isPort(value) {
    return typeof value === 'number' || (typeof value === 'string' && /^\s*\d+\s*$/.test(value));
  }

  function isWorker() {
    return quietly(function () { return require('cluster').isWorker; }) === true;
  }

  // A cluster worker only names a listener: it is the primary that opens it, through this same function, and all
  // workers have to ask for the same. Everybody else uses each number once, since closing the server closes it.
  function takeListener(preferred) {
    var candidates = preferred === undefined ? LISTENERS : [preferred].concat(LISTENERS);
    var worker = isWorker();
    for (var i = 0; i < candidates.length; i++) {
      var fd = candidates[i];
      if ((worker || !used[fd]) && isSocket(fd)) {
        if (!worker) used[fd] = true;
        return fd;
      }
    }
    return -1;
  }

  function isSocket(fd) {
    try {
      return fs.fstatSync(fd).isSocket();
    } catch (_) {
      return false;
    }
  }

  // --- a server of ours ---

  function adopt(server, wanted, worker) {
    var address = wanted.path === undefined
      ? { address: wanted.host || '::', family: /^\d+\./.test(wanted.host || '') ? 'IPv4' : 'IPv6', port: PORT }
      : wanted.path;
    // Frameworks print it, and take it apart.
    server._handoverAddress = address;
    server.address = function () {
      return this._handle ? address : null;
    };
    raiseTimeouts(server);
    if (!server._handoverWatched) {
      server._handoverWatched = true;
      watch(server);
    }
    server.once('listening', function () {
      quietly(function () {
        // Kept here, because a cluster's primary takes the handle away from the server that opened it.
        if (!worker) accepting.push({ server: server, handle: server._handle });
        send({ type: 'listening' });
        flushCompileCache();
        if (leaving) leave();
      });
    });
  }

  function raiseTimeouts(server) {
    if (server.keepAliveTimeout !== NODE_DEFAULT_KEEP_ALIVE_MS) return; // not HTTP, or chosen by the app
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    // Before node 18 the time for headers ran from the end of the last response.
    var old = parseInt(process.versions.node, 10) < 18;
    if (old && server.headersTimeout === NODE_DEFAULT_HEADERS_MS) server.headersTimeout = KEEP_ALIVE_MS + 5000;
  }

  // `emit` is wrapped in place of adding listeners: an `upgrade` listener would change what node does with upgrades.
  function watch(server) {
    var emit = server.emit;
    server.emit = function (event, first, second) {
      if (event === 'connection') opened(first);
      else if (event === 'upgrade' || event === 'connect') upgradedTo(second);
      else if (draining && second && (event === 'request' || event === 'checkContinue')) second.shouldKeepAlive = false;
      return emit.apply(this, arguments);
    };
  }

  function opened(socket) {
    if (!socket || typeof socket.once !== 'function' || sockets.has(socket)) return;
    sockets.add(socket);
    socket.once('close', function () {
      sockets.delete(socket);
    });
  }

  function upgradedTo(socket) {
    if (!socket || typeof socket.once !== 'function') return;
    upgraded += 1;
    reportSoon();
    socket.once('close', function () {
      upgraded -= 1;
      reportSoon();
    });
  }

  // --- the channel to keep ---

  function open() {
    if (channel || !env.HANDOVER_CHANNEL) return;
    channel = net.connect({ path: env.HANDOVER_CHANNEL });
    channel.unref();
    var pending = '';
    channel.setEncoding('utf8');
    channel.on('error', nothing);
    channel.on('close', function () {
      quietly(outliveKeep);
    });
    channel.on('data', function (text) {
      var lines = (pending + text).split('\n');
      pending = lines.pop();
      lines.forEach(function (line) {
        quietly(function () { hear(JSON.parse(line)); });
      });
    });
    send({ type: 'hello', instance: INSTANCE, pid: process.pid });
  }

  function send(message) {
    open();
    if (channel && !channel.destroyed) channel.write(JSON.stringify(message) + '\n');
  }

  function hear(message) {
    if (message.type === 'drain') {
      drain();
      send(counts('draining'));
    } else if (message.type === 'undrain') {
      draining = false;
    } else if (message.type === 'leave') {
      drain();
      leave();
      send(counts('left'));
    }
  }

  // From now on each response asks the client to reconnect, which leads it to the new version. Idle connections are
  // left open: the front may be sending a request on one at this moment, and would lose it. Each is used once more at
  // most, or closed by the front when it has been idle for long enough.
  function drain() {
    draining = true;
    sockets.forEach(function (socket) {
      var response = socket._httpMessage;
      if (response && !response.headersSent) response.shouldKeepAlive = false;
    });
  }

  // Accepts no more; what was accepted goes on. The listener lives on in other processes, and its queue with it. Not
  // http's own `close`, which also ends idle connections. In a cluster it is the primary that accepts.
  function leave() {
    leaving = true;
    accepting.splice(0).forEach(function (entry) {
      if (entry.server._handle) originalClose.call(entry.server);
      else if (entry.handle) entry.handle.close();
    });
  }

  function counts(type) {
    var inFlight = 0;
    sockets.forEach(function (socket) {
      if (socket._httpMessage) inFlight += 1;
    });
    return { type: type, in_flight: inFlight, upgraded: upgraded };
  }

  function reportSoon() {
    if (reporting) return;
    reporting = setTimeout(function () {
      reporting = null;
      quietly(function () { send(counts('counts')); });
    }, 200);
    reporting.unref();
  }

  function reportElsewhere(server, wanted) {
    var address = wanted.path === undefined ? (wanted.host ? wanted.host + ':' : '') + wanted.port : wanted.path;
    server.once('listening', function () {
      quietly(function () { send({ type: 'listen-elsewhere', address: String(address) }); });
    });
  }

  // With keep gone nobody reads what this process prints. It holds the reading ends itself, so that writing is no
  // error (EPIPE would end most programs); now it reads them too, so that writing never blocks. And nobody will say
  // `drain`, though a fresh generation is on its way: from here on clients are asked to reconnect.
  function outliveKeep() {
    channel = null;
    env.HANDOVER_CHANNEL = '';
    drain();
    OUTPUTS.forEach(function (fd) {
      quietly(function () {
        if (!fs.fstatSync(fd).isFIFO()) return;
        var output = new net.Socket({ fd: fd, readable: true, writable: false });
        output.on('error', nothing);
        output.unref();
        output.resume();
      });
    });
  }

  // --- start-up ---

  // True, if what node compiles from here on is kept.
  //
  // node names an entry by the path of its module, or, where it can (24.12), by the path from the cache to the module.
  // That is the same for all releases only if each has the cache at the same place within it: so the cache is reached
  // through a symlink in the release. Without it every release would begin with nothing and leave its own behind, which
  // is why older versions of node go without.
  function enableCompileCache() {
    var dir = env.HANDOVER_COMPILE_CACHE;
    var link = env.HANDOVER_COMPILE_CACHE_LINK;
    var version = process.versions.node.split('.').map(Number);
    var relative = version[0] > 24 || (version[0] === 24 && version[1] >= 12);
    if (!dir || !link || !relative || env.NODE_COMPILE_CACHE || env.NODE_DISABLE_COMPILE_CACHE) return false;
    // node looks at real paths: with another one in between the release's number would be in every name again.
    var path = require('path');
    link = path.join(fs.realpathSync(path.dirname(link)), path.basename(link));
    fs.mkdirSync(dir, { recursive: true });
    quietly(function () { fs.symlinkSync(dir, link); }); // it may be there
    if (fs.readlinkSync(link) !== dir) return false;
    var own = env.NODE_COMPILE_CACHE_PORTABLE;
    env.NODE_COMPILE_CACHE_PORTABLE = '1';
    try {
      var enabled = require('module').enableCompileCache(link);
      return enabled.status === require('module').constants.compileCacheStatus.ENABLED;
    } finally {
      if (own === undefined) delete env.NODE_COMPILE_CACHE_PORTABLE;
      else env.NODE_COMPILE_CACHE_PORTABLE = own;
    }
  }

  // node writes the cache at a clean exit only, which a server that is told to stop seldom has. Writing takes 0.3 s for
  // a thousand modules, in which nothing is answered: so first before anybody is sent here, and then only what the
  // first requests have loaded.
  function flushCompileCache() {
    if (!compiling) return;
    var flush = function () { quietly(require('module').flushCompileCache); };
    setImmediate(flush);
    setTimeout(flush, 10000).unref();
  }

  function quietly(action) {
    try {
      return action();
    } catch (_) {
      return undefined;
    }
  }

  function nothing() {}
})();
