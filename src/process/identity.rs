//! Which process is meant: boot id + pid + start time, held as a pidfd.
