//! Listening UNIX sockets whose permissions are right from the first moment.
