//! Use cases, one file per resource: the one layer that REST handlers and server functions both call.
