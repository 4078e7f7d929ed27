module.exports = 'kept';
