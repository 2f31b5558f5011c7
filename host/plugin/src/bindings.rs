//! What `wit/` says, in Rust. The one place where it is read.

#![allow(missing_docs, unreachable_pub, reason = "generated; the words stand in `wit/`")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "transcoder-plugin",
    imports: {
        "millrace:plugin/output.[method]output-track.emit": async | trappable,
        "millrace:plugin/output.[method]output-track.write": async | trappable,
        "millrace:plugin/codec.[method]video-encoder.submit": async | trappable,
        "millrace:plugin/codec.[method]audio-encoder.submit": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "millrace:plugin/media.track": crate::imports::TrackHandle,
        "millrace:plugin/media.fragment": crate::imports::FragmentHandle,
        "millrace:plugin/output.output-track": crate::imports::OutputHandle,
        "millrace:plugin/codec.video-settings": crate::imports::SettingsHandle,
        "millrace:plugin/codec.rendition": crate::imports::RenditionHandle,
        "millrace:plugin/codec.video-encoder": crate::imports::EncoderHandle,
        "millrace:plugin/codec.audio-settings": crate::imports::AudioSettingsHandle,
        "millrace:plugin/codec.audio-encoder": crate::imports::AudioEncoderHandle,
        "millrace:plugin/host.counter": crate::imports::CounterHandle,
        "millrace:plugin/host.gauge": crate::imports::GaugeHandle,
    },
});
