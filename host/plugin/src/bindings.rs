//! What `wit/` says, in Rust. The one place where it is read.

#![allow(missing_docs, unreachable_pub, reason = "generated; the words stand in `wit/`")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "everything",
    imports: {
        "millrace:plugin/output.[method]output-track.emit": async | trappable,
        "millrace:plugin/output.[method]output-track.write": async | trappable,
        "millrace:plugin/output.[method]output-track.write-chunk": async | trappable,
        "millrace:plugin/codec.[method]video-encoder.submit": async | trappable,
        "millrace:plugin/codec.[method]audio-encoder.submit": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "millrace:plugin/media.description": crate::imports::DescriptionHandle,
        "millrace:plugin/media.context": crate::imports::ContextHandle,
        "millrace:plugin/media.rendition": crate::imports::RenditionHandle,
        "millrace:plugin/media.track": crate::imports::TrackHandle,
        "millrace:plugin/media.loss": crate::imports::LossHandle,
        "millrace:plugin/media.fragment": crate::imports::FragmentHandle,
        "millrace:plugin/media.verdict": crate::imports::VerdictHandle,
        "millrace:plugin/media.attempt": crate::access::AttemptHandle,
        "millrace:plugin/media.answer": crate::access::AnswerHandle,
        "millrace:plugin/output.output-track": crate::imports::OutputHandle,
        "millrace:plugin/codec.video-settings": crate::imports::SettingsHandle,
        "millrace:plugin/codec.audio-settings": crate::imports::AudioSettingsHandle,
        "millrace:plugin/codec.statistics": crate::imports::StatisticsHandle,
        "millrace:plugin/codec.video-encoder": crate::imports::EncoderHandle,
        "millrace:plugin/codec.audio-encoder": crate::imports::AudioEncoderHandle,
        "millrace:plugin/metrics.counter": crate::metrics::Counter,
        "millrace:plugin/metrics.gauge": crate::metrics::Gauge,
        "millrace:plugin/metrics.histogram": crate::metrics::Histogram,
        "millrace:plugin/metrics.alarm": crate::metrics::Alarm,
        "millrace:plugin/state.slot": crate::imports::SlotHandle,
        "millrace:plugin/http.pending": crate::imports::PendingHandle,
        "millrace:plugin/http.response": crate::imports::ResponseHandle,
    },
});
