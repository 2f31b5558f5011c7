//! What a program of WASI may try. Only built for WASI is it more than the standard library's own refusals.

use std::time::{Duration, Instant, SystemTime};

use crate::millrace::plugin::types::Error;

fn check(what: &str, holds: bool) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Failed(what.into())) }
}

pub fn work(what: &str) -> Result<(), Error> {
    match what {
        "wasi-print" => {
            println!("to standard output");
            eprintln!("to standard error");
        }
        "wasi-panic" => panic!("out of ideas"),
        "wasi-exit" => std::process::exit(3),
        // A body that nobody reads: were it given, the second of the writes would wait for ever.
        #[cfg(target_os = "wasi")]
        "wasi-http" => {
            use wasip2::http::{outgoing_handler, types};
            let request = types::OutgoingRequest::new(types::Fields::new());
            check("a request has no body", request.body().is_err())?;
            let answered = outgoing_handler::handle(request, None);
            let denied = match &answered {
                Ok(pending) => matches!(pending.get(), Some(Ok(Err(types::ErrorCode::HttpRequestDenied)))),
                Err(error) => matches!(error, types::ErrorCode::HttpRequestDenied | types::ErrorCode::HttpRequestUriInvalid),
            };
            check(&format!("nobody is asked: {answered:?}"), denied)?;
        }
        "wasi-sleep" => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        "wasi-flood" => loop {
            println!("{}", "flood".repeat(1000));
        },
        "wasi-look" => {
            check("the environment is empty", std::env::vars().next().is_none())?;
            check("there are no arguments", std::env::args().next().is_none())?;
            check("no file is there", std::fs::read("/etc/hostname").is_err())?;
            check("no file can be made", std::fs::write("here", b"x").is_err())?;
            check("no directory is there", std::fs::read_dir("/").is_err())?;
            check("nobody can be called", std::net::TcpStream::connect("127.0.0.1:80").is_err())?;
            check("nobody can call", std::net::TcpListener::bind("127.0.0.1:0").is_err())?;
            check("no datagram can be sent", std::net::UdpSocket::bind("127.0.0.1:0").is_err())?;
            check("no name can be looked up", std::net::ToSocketAddrs::to_socket_addrs("localhost:80").is_err())?;
            check("nobody types", std::io::stdin().lines().next().is_none())?;
            let start = Instant::now();
            std::thread::sleep(Duration::from_secs(3600));
            check("the clock stands still", start.elapsed() == Duration::ZERO)?;
            check("it is always then", SystemTime::now() == SystemTime::UNIX_EPOCH)?;
        }
        _ => {}
    }
    Ok(())
}
