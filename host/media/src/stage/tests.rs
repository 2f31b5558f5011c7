mod chain;
mod ends;
mod flow;
mod overload;
