//! Encoding H.264.

use bytes::{BufMut, Bytes, BytesMut};
use millrace_media::time::Time;
use openh264_sys2::{
    CAMERA_VIDEO_REAL_TIME, CONSTANT_ID, HIGH_COMPLEXITY, LOW_COMPLEXITY, MEDIUM_COMPLEXITY, PRO_HIGH, RC_BITRATE_MODE,
    RC_OFF_MODE, SEncParamExt, SM_FIXEDSLCNUM_SLICE, SM_SINGLE_SLICE,
};

use super::BACKEND;
use super::raw::{RawEncoder, RawError, default_params};
use crate::avc::{Nal, NalKind, write_avc_config};
use crate::cadence::Cadence;
use crate::encode::{EncodeError, Packet, VideoConfig, VideoEncoder};
use crate::picture::{Picture, Size};
use crate::rate::RateAccount;
use crate::settings::{Quality, Speed, VideoCodec, VideoSettings, check_bitrate};

/// The library goes no further, lying or standing.
const MAX_SIDES: (u32, u32) = (3840, 2160);
const SUPPORTED: &str = "there is an encoder for H.264 up to 3840x2160 or 2160x3840 (openh264)";
/// The pictures per second that the library's rate control knows; beyond them the account alone holds the bitrate.
const FRAME_RATES: (f32, f32) = (1.0, 60.0);
/// Slices, and with them threads, that the library works on at once.
const MAX_THREADS: u16 = 4;

/// H.264 by OpenH264.
pub(crate) struct H264Encoder {
    raw: RawEncoder,
    size: Size,
    /// None where a quality is held.
    account: Option<RateAccount>,
    cadence: Cadence,
    first_time: Option<Time>,
    headers: Option<Headers>,
}

/// The parameter sets of the first picture, and the configuration made from them.
struct Headers {
    sequence: Bytes,
    picture: Bytes,
    config: VideoConfig,
}

impl H264Encoder {
    /// An encoder as the settings ask.
    pub(crate) fn new(settings: &VideoSettings) -> Result<Self, EncodeError> {
        let size = settings.validate()?;
        let (long, short) = (size.width().max(size.height()), size.width().min(size.height()));
        if long > MAX_SIDES.0 || short > MAX_SIDES.1 {
            return Err(EncodeError::Unsupported { what: format!("H.264 of {size}"), supported: SUPPORTED });
        }
        Ok(Self {
            raw: RawEncoder::new(&params(settings, size)?).map_err(backend)?,
            size,
            account: settings.bitrate.map(RateAccount::new),
            cadence: Cadence::new(settings.frame_rate),
            first_time: None,
            headers: None,
        })
    }

    /// Keeps the parameter sets of the first keyframe, and compares later ones with them.
    fn check_headers(&mut self, sequence: Option<Bytes>, picture: Option<Bytes>) -> Result<(), EncodeError> {
        match (&self.headers, sequence, picture) {
            (_, None, None) => Ok(()),
            (Some(known), sequence, picture) => {
                let same =
                    sequence.is_none_or(|it| it == known.sequence) && picture.is_none_or(|it| it == known.picture);
                if same { Ok(()) } else { Err(EncodeError::HeadersChanged { backend: BACKEND }) }
            }
            (None, Some(sequence), Some(picture)) => {
                let record = write_avc_config(&sequence, &picture)
                    .ok_or_else(|| failed("parameter sets too long for a configuration record".to_owned()))?;
                let config = VideoConfig { codec: VideoCodec::H264, record: record.into(), size: self.size };
                self.headers = Some(Headers { sequence, picture, config });
                Ok(())
            }
            (None, ..) => Err(failed("one parameter set without the other".to_owned())),
        }
    }
}

impl VideoEncoder for H264Encoder {
    fn encode(
        &mut self,
        picture: &Picture,
        time: Time,
        force_keyframe: bool,
        out: &mut Vec<Packet>,
    ) -> Result<(), EncodeError> {
        if picture.size() != self.size {
            return Err(EncodeError::Size { expected: self.size, actual: picture.size() });
        }
        if let Some(rate) = self.cadence.observe(time)
            && self.account.is_some()
        {
            self.raw.set_frame_rate(rate.clamp(FRAME_RATES.0, FRAME_RATES.1)).map_err(backend)?;
        }
        if force_keyframe {
            self.raw.force_keyframe().map_err(backend)?;
        }
        let start = *self.first_time.get_or_insert(time);
        let millis = (time - start).micros() / 1000;
        let mut data = BytesMut::new();
        let (mut sequence, mut parameters) = (None, None);
        let keyframe = self
            .raw
            .encode(picture, millis, |unit| {
                let Some(nal) = Nal::new(without_start_code(unit)) else { return };
                match nal.kind() {
                    NalKind::SequenceParameters => sequence = Some(Bytes::copy_from_slice(nal.bytes())),
                    NalKind::PictureParameters => parameters = Some(Bytes::copy_from_slice(nal.bytes())),
                    NalKind::Slice | NalKind::IdrSlice => {
                        data.reserve(4 + nal.bytes().len());
                        data.put_u32(nal.bytes().len() as u32);
                        data.put_slice(nal.bytes());
                    }
                    NalKind::Partition | NalKind::Opening | NalKind::Other => {}
                }
            })
            .map_err(backend)?;
        self.check_headers(sequence, parameters)?;
        if data.is_empty() {
            return Err(failed(format!("no packet for the picture at {time}")));
        }
        let rate = self.cadence.rate();
        if let Some(bitrate) = self.account.as_mut().and_then(|account| account.spend(data.len() * 8, rate)) {
            self.raw.set_bitrate(bitrate as i32).map_err(backend)?;
        }
        out.push(Packet { data: data.freeze(), time, keyframe });
        Ok(())
    }

    fn delay(&self) -> usize {
        0
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), EncodeError> {
        let Some(account) = &mut self.account else { return Err(EncodeError::ConstantQuality) };
        check_bitrate(bits_per_second)?;
        account.set_target(bits_per_second);
        self.raw.set_bitrate(bits_per_second as i32).map_err(backend)
    }

    fn flush(&mut self, _: &mut Vec<Packet>) -> Result<(), EncodeError> {
        // Every packet has come out with its picture.
        Ok(())
    }

    fn config(&self) -> Option<&VideoConfig> {
        self.headers.as_ref().map(|headers| &headers.config)
    }
}

/// The library's knobs, as the table on [`VideoSettings`] lists them.
fn params(settings: &VideoSettings, size: Size) -> Result<SEncParamExt, EncodeError> {
    let mut params = default_params().map_err(backend)?;
    let (width, height) = (size.width() as i32, size.height() as i32);
    params.iUsageType = CAMERA_VIDEO_REAL_TIME;
    params.iPicWidth = width;
    params.iPicHeight = height;
    params.fMaxFrameRate = settings.frame_rate;
    params.iComplexityMode = match settings.speed {
        Speed::Archive => HIGH_COMPLEXITY,
        Speed::Standard => MEDIUM_COMPLEXITY,
        Speed::Draft => LOW_COMPLEXITY,
    };
    // Keyframes where they are asked for: no period, no scene changes. One packet a picture: no skipping.
    params.uiIntraPeriod = 0;
    params.bEnableSceneChangeDetect = false;
    params.bEnableFrameSkip = false;
    params.eSpsPpsIdStrategy = CONSTANT_ID;
    params.iEntropyCodingModeFlag = 1;
    params.iNumRefFrame = 1;
    params.iTemporalLayerNum = 1;
    params.iSpatialLayerNum = 1;
    params.bPrefixNalAddingCtrl = false;
    params.bEnableLongTermReference = false;
    params.bEnableDenoise = false;
    let threads = settings.threads.min(MAX_THREADS);
    params.iMultipleThreadIdc = threads;

    let layer = &mut params.sSpatialLayers[0];
    layer.iVideoWidth = width;
    layer.iVideoHeight = height;
    layer.fFrameRate = settings.frame_rate;
    layer.uiProfileIdc = PRO_HIGH;
    if threads > 1 {
        layer.sSliceArgument.uiSliceMode = SM_FIXEDSLCNUM_SLICE;
        layer.sSliceArgument.uiSliceNum = threads.into();
    } else {
        layer.sSliceArgument.uiSliceMode = SM_SINGLE_SLICE;
        layer.sSliceArgument.uiSliceNum = 1;
    }
    if let Some(colour) = settings.colour {
        layer.bVideoSignalTypePresent = true;
        layer.uiVideoFormat = 5;
        layer.bFullRange = colour.full_range;
        layer.bColorDescriptionPresent = true;
        layer.uiColorPrimaries = colour.primaries;
        layer.uiTransferCharacteristics = colour.transfer;
        layer.uiColorMatrix = colour.matrix;
    }
    match settings.bitrate {
        Some(bitrate) => {
            layer.iSpatialBitrate = bitrate as i32;
            params.iTargetBitrate = bitrate as i32;
            params.iRCMode = RC_BITRATE_MODE;
            // Beyond 42 its rate control collapses: pictures so coarse are no use for prediction, and the next ones cost more.
            params.iMinQp = 12;
            params.iMaxQp = 42;
        }
        None => {
            layer.iDLayerQp = match settings.quality {
                Quality::VisuallyLossless => 18,
                Quality::High => 23,
                Quality::Standard => 28,
                Quality::Low => 34,
            };
            params.iRCMode = RC_OFF_MODE;
        }
    }
    Ok(params)
}

/// The unit behind its start code of three or four bytes, ITU-T H.264 annex B.
fn without_start_code(unit: &[u8]) -> &[u8] {
    unit.strip_prefix(&[0, 0, 0, 1]).or_else(|| unit.strip_prefix(&[0, 0, 1])).unwrap_or(unit)
}

fn backend(error: RawError) -> EncodeError {
    failed(error.to_string())
}

fn failed(reason: String) -> EncodeError {
    EncodeError::Backend { backend: BACKEND, reason }
}
