//! Looks at the tracks of a source: the length of groups, bit rate, frame rate, frames out of order, gaps, and a source from which nothing
//! comes. What it finds is in the metrics, and what is not as the operator wants it raises alarms. It makes no tracks and delays nothing.

pub mod measure;
mod plugin;
pub mod settings;
