//! Real publishers push to a real server; what the bus then holds is compared with what they were given.

mod authorizers;
mod changes;
mod codecs;
mod ends;
mod forms;
mod refusals;
mod returns;
mod stage;
