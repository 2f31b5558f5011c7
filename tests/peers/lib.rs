//! Nothing of its own: what it depends on is built for the tests to talk to.
