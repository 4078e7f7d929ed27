//! Children in groups of their own: started, signalled, reaped.
