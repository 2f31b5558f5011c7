//! What each part of the server is told, out of the configuration.

use std::sync::Arc;

use millrace_cmaf::Limits;
use millrace_codec::VideoSettings;
use millrace_deliver::{hls, moq as deliver_moq};
use millrace_ingest::pieces::Lengths;
use millrace_ingest::{http, moq as ingest_moq};
use millrace_media::Access;
use millrace_media::track::Window;
use millrace_media::{bus, calendar};
use millrace_transcode::{Decoding, Economy, Ladder, Rendition, Sound};

use crate::config::{self, Config};
use crate::memory;

pub(crate) fn bus(config: &Config) -> bus::Settings {
    bus::Settings {
        linger: config.ingest.linger,
        // Players look for the end of a playlist at least once in its window.
        retain_ended: config.hls.playlist_window,
        window: Window { duration: config.window.duration, bytes: config.window.bytes.get() },
        total: config.window.total.map_or_else(memory::half, config::ByteSize::get),
        calendar: calendar::Settings {
            segment_target: config.hls.segment_target,
            max_segment: config.hls.max_segment,
            // What a track keeps may reach back a whole group further than the window.
            history: config.window.duration * 2 + config.hls.max_segment * 2,
        },
        max_broadcasts: config.ingest.max_broadcasts,
        max_tracks: config.ingest.max_tracks,
    }
}

pub(crate) fn hls(config: &Config) -> hls::Settings {
    hls::Settings {
        part_target: config.hls.part_target,
        playlist_window: config.hls.playlist_window,
        low_latency: config.hls.low_latency,
        cors_origins: config.http.cors_origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
    }
}

pub(crate) fn ingest(config: &Config, access: Arc<dyn http::Access>, authorizers: Access) -> http::Settings {
    http::Settings {
        access,
        authorizers,
        idle_timeout: config.ingest.idle_timeout,
        limits: limits(config),
        lengths: lengths(config),
        ..http::Settings::default()
    }
}

/// What publishers may do over Media over QUIC.
pub(crate) fn moq_ingest(config: &Config) -> ingest_moq::Settings {
    ingest_moq::Settings {
        idle_timeout: config.ingest.idle_timeout,
        limits: limits(config),
        lengths: lengths(config),
        max_catalog: usize::try_from(config.moq.max_catalog.get()).unwrap_or(usize::MAX),
        max_broadcasts: config.moq.max_broadcasts,
    }
}

/// What subscribers may do over Media over QUIC.
pub(crate) fn moq_deliver(config: &Config) -> deliver_moq::Settings {
    deliver_moq::Settings { max_subscriptions: config.moq.max_subscriptions }
}

/// What each of its connections may take.
pub(crate) fn moq_limits(config: &Config) -> millrace_moq::Limits {
    let moq = &config.moq;
    let receive_window = u32::try_from(moq.receive_window.get()).unwrap_or(u32::MAX);
    millrace_moq::Limits {
        max_connections: moq.max_connections,
        setup_timeout: moq.setup_timeout,
        idle_timeout: moq.idle_timeout,
        max_streams: moq.max_streams,
        receive_window,
        stream_receive_window: receive_window / 4,
        send_window: u32::try_from(moq.send_window.get()).unwrap_or(u32::MAX),
        patience: moq.patience,
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        max_mdat: u32::try_from(config.ingest.max_box.get()).unwrap_or(u32::MAX),
        max_samples: config.ingest.max_samples,
        max_tracks: config.ingest.max_tracks,
        ..Limits::default()
    }
}

fn lengths(config: &Config) -> Lengths {
    Lengths { video: config.hls.part_target, ..Lengths::default() }
}

/// How much decoding a source may ask for.
pub(crate) fn decoding(config: &Config) -> Decoding {
    Decoding { max_frame: config.transcode.max_frame.get(), max_rate: config.transcode.max_decode.get() }
}

/// A ladder, as the runner knows it.
pub(crate) fn ladder(ladder: &config::Ladder) -> Ladder {
    let patterns = ladder.broadcasts.clone();
    Ladder {
        name: ladder.name.as_str().into(),
        applies_to: Arc::new(move |broadcast| patterns.iter().any(|pattern| pattern.matches(broadcast))),
        renditions: ladder.renditions.iter().map(rendition).collect(),
        economy: Arc::new(Economy { idle_timeout: ladder.idle_timeout, on_overload: ladder.on_overload.clone() }),
    }
}

/// A rendition, as the runner knows it.
pub(crate) fn rendition(rendition: &config::Rendition) -> Arc<Rendition> {
    let bitrate = |rate: config::BitRate| u32::try_from(rate.get()).unwrap_or(u32::MAX);
    Arc::new(Rendition {
        name: rendition.name.as_str().into(),
        video: VideoSettings {
            bitrate: rendition.video_bitrate.map(bitrate),
            quality: rendition.quality,
            speed: rendition.speed,
            library: rendition.encoder,
            threads: rendition.threads,
            ..VideoSettings::new(rendition.codec, rendition.width, rendition.height)
        },
        audio: match rendition.audio {
            config::Audio::Source => Sound::Source,
            config::Audio::Opus => Sound::Opus { bitrate: bitrate(rendition.audio_bitrate) },
        },
        priority: rendition.priority,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_sources_may_ask_for_is_as_configured() {
        let variables = [("MAX_FRAME", "1280x720"), ("MAX_DECODE", "55.5M")];
        let variables = variables.map(|(name, value)| (format!("MILLRACE_TRANSCODE_{name}"), value.to_owned()));
        let decoding = decoding(&config::load(None, variables.into_iter()).unwrap());
        assert_eq!((decoding.max_frame.width(), decoding.max_frame.height()), (1280, 720));
        assert_eq!(decoding.max_rate, 55_500_000);
    }

    #[test]
    fn what_connections_of_moq_may_take_is_as_configured() {
        let variables = [
            ("MAX_CONNECTIONS", "11"),
            ("SETUP_TIMEOUT", "12s"),
            ("IDLE_TIMEOUT", "13s"),
            ("MAX_STREAMS", "14"),
            ("RECEIVE_WINDOW", "16MiB"),
            ("SEND_WINDOW", "15MiB"),
            ("PATIENCE", "17s"),
            ("MAX_SUBSCRIPTIONS", "18"),
            ("MAX_BROADCASTS", "19"),
            ("MAX_CATALOG", "20KiB"),
        ];
        let variables = variables.map(|(name, value)| (format!("MILLRACE_MOQ_{name}"), value.to_owned()));
        let config = config::load(None, variables.into_iter()).unwrap();
        let expected = millrace_moq::Limits {
            max_connections: 11,
            setup_timeout: Duration::from_secs(12),
            idle_timeout: Duration::from_secs(13),
            max_streams: 14,
            receive_window: 16 << 20,
            stream_receive_window: 4 << 20,
            send_window: 15 << 20,
            patience: Duration::from_secs(17),
        };
        assert_eq!(moq_limits(&config), expected);
        assert_eq!(moq_deliver(&config).max_subscriptions, 18);
        let ingest = moq_ingest(&config);
        assert_eq!((ingest.max_broadcasts, ingest.max_catalog), (19, 20 << 10));
    }
}
