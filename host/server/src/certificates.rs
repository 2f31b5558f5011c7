//! The certificates that the server shows: read from files or made here, and looked at again while it runs.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use millrace_moq::Certificates;

use crate::config::{Config, Tls};
use crate::reload::{Outcome, Reload};

/// How often they are looked at: files may have changed, and one that was made here may be due.
const LOOK: Duration = Duration::from_secs(10);

/// What each listener shows.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// Over HTTP. None: it is spoken without TLS.
    pub(crate) http: Option<Certificates>,
    /// Over Media over QUIC. None: it is not spoken.
    pub(crate) moq: Option<Certificates>,
}

impl Shown {
    /// Reads those that the configuration names, and makes one for Media over QUIC where it names none. Reads files.
    ///
    /// # Errors
    /// Where one cannot be read or made.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        let http = config.http.tls.as_ref().map(read).transpose()?;
        let moq = match (&config.moq.tls, &http) {
            _ if !config.moq.enabled => None,
            (Some(tls), _) => Some(read(tls)?),
            (None, Some(http)) => Some(http.clone()),
            (None, None) => Some(Certificates::development(names(config), SystemTime::now())?),
        };
        Ok(Self { http, moq })
    }

    /// Has those that come from files read again on SIGHUP.
    pub(crate) fn reload_with(&self, reload: &mut Reload) {
        let from_files =
            |certificates: &Option<Certificates>| certificates.clone().filter(|known| known.hash().is_none());
        let mut add = |what, certificates: Certificates| {
            reload.add(what, move || Ok(if certificates.reload()? { Outcome::Changed } else { Outcome::Same }));
        };
        if let Some(http) = from_files(&self.http) {
            add("the certificate of [http.tls]", http);
        }
        if let Some(moq) = from_files(&self.moq).filter(|moq| !self.http.as_ref().is_some_and(|http| http.is(moq))) {
            add("the certificate of [moq.tls]", moq);
        }
    }

    /// Exchanges them where that is due, for ever. Whoever runs it ends it by dropping the future.
    pub(crate) async fn keep(self) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            let shown = self.clone();
            // It asks the disk.
            if let Err(error) = tokio::task::spawn_blocking(move || shown.refresh(SystemTime::now())).await {
                tracing::error!(%error, "the certificates could not be looked at");
            }
        }
    }

    fn refresh(&self, now: SystemTime) {
        // Where both are one, the second look finds nothing new.
        for certificates in self.http.iter().chain(&self.moq) {
            match certificates.refresh(now) {
                Ok(true) => tracing::info!("another certificate is shown from now on"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the certificate cannot be exchanged; the one there is stays"),
            }
        }
    }
}

fn read(tls: &Tls) -> anyhow::Result<Certificates> {
    Certificates::from_files(&tls.cert, &tls.key)
        .with_context(|| format!("the certificate in {} cannot be used", tls.cert.display()))
}

/// What a certificate that is made here is for: this machine, and the addresses that are listened on.
fn names(config: &Config) -> Vec<String> {
    let listen = config.moq_listen().iter().map(|address| address.ip().to_canonical());
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for name in listen.filter(|ip: &IpAddr| !ip.is_unspecified()).map(|ip| ip.to_string()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    fn shown(variables: &[(&str, &str)]) -> anyhow::Result<Shown> {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Shown::of(&load(None, variables).unwrap_or_else(|errors| panic!("{errors}")))
    }

    #[test]
    fn without_files_one_is_made_for_media_over_quic_alone() {
        let made = shown(&[]).unwrap();
        assert!(made.http.is_none());
        assert!(made.moq.unwrap().hash().is_some(), "browsers trust it by its hash");
        assert!(shown(&[("MILLRACE_MOQ_ENABLED", "false")]).unwrap().moq.is_none());
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let tls = [("MILLRACE_HTTP_TLS_CERT", "/nowhere/cert.pem"), ("MILLRACE_HTTP_TLS_KEY", "/nowhere/key.pem")];
        let error = format!("{:#}", shown(&tls).unwrap_err());
        assert!(error.contains("/nowhere/cert.pem"), "{error}");
    }
}
