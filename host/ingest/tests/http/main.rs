//! Real publishers push to a real server; what the bus then holds is compared with what they were given.

mod authorizers;
mod changes;
mod codecs;
mod ends;
mod filtered;
mod forms;
#[path = "../common/native.rs"]
mod native;
mod refusals;
mod returns;
mod stage;
