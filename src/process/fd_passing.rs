//! Descriptors sent over UNIX sockets (`SCM_RIGHTS`).
