//! Who may change something: publish, on every protocol, and use the guarded part of the API.
//!
//! A credential is proof enough, wherever it comes from: the token, or a JSON Web Token. Where none is configured, clients on this machine
//! may, and the server's own pages, but no pages of other origins: [`Local`] is that rule. Access plugins are asked after that, about
//! what is published and what is played: [`millrace_media::access`]. Where there are none, everybody may play.
//!
//! | module | what it decides |
//! | --- | --- |
//! | [`publish`] | who may publish, over HTTP and over Media over QUIC |
//! | [`operate`] | who may use the guarded part of the API |
//! | [`local`] | what counts as this machine, and which pages are the server's own |
//! | [`jwt`] | what a JSON Web Token allows |
//! | [`shown`] | where a request carries its credential |

mod jwt;
mod local;
mod operate;
mod publish;
mod shown;
#[cfg(test)]
mod tests;

pub(crate) use local::{Caller, Local, Reach, addressed};
pub(crate) use operate::{NotOperator, Operators};
pub(crate) use publish::{Client, Publishers, Refused};
