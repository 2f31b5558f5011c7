//! CMAF as real encoders write it, and as nobody should.

mod editing;
mod ffmpeg;
mod handmade;
mod hostile;
mod reading;
mod rewriting;
mod smooth;
mod writing;
