//! `ISVCEncoder`.

use std::ffi::{c_int, c_void};
use std::ptr;

use openh264_sys2::{
    API, DynamicAPI, ENCODER_OPTION_BITRATE, ENCODER_OPTION_FRAME_RATE, ENCODER_OPTION_TRACE_LEVEL, ISVCEncoder,
    SBitrateInfo, SEncParamExt, SFrameBSInfo, SPATIAL_LAYER_ALL, SSourcePicture, WELS_LOG_QUIET, videoFormatI420,
    videoFrameTypeIDR,
};

use super::{RawError, check, function};
use crate::picture::{Picture, Plane};

/// An encoder of the library, initialised.
pub(in crate::openh264) struct RawEncoder {
    api: DynamicAPI,
    handle: *mut ISVCEncoder,
    /// Several kilobytes that every call fills.
    info: Box<SFrameBSInfo>,
}

// SAFETY: the library's encoder keeps no thread-local state; threads of its own work only during a call, on what the call gave.
unsafe impl Send for RawEncoder {}

/// The library's defaults, to be changed and given to [`RawEncoder::new`].
pub(in crate::openh264) fn default_params() -> Result<SEncParamExt, RawError> {
    let encoder = RawEncoder::create()?;
    let get_default_params = function!(encoder.handle, GetDefaultParams)?;
    let mut params = SEncParamExt::default();
    // SAFETY: the library writes one parameter block, during the call.
    check("GetDefaultParams", unsafe { get_default_params(encoder.handle, &raw mut params) })?;
    Ok(params)
}

impl RawEncoder {
    fn create() -> Result<Self, RawError> {
        let api = DynamicAPI::from_source();
        let mut handle: *mut ISVCEncoder = ptr::null_mut();
        // SAFETY: the library writes one pointer to `handle`, which outlives the call.
        check("WelsCreateSVCEncoder", unsafe { api.WelsCreateSVCEncoder(&raw mut handle) })?;
        if handle.is_null() {
            return Err(RawError { call: "WelsCreateSVCEncoder", code: -1 });
        }
        let mut encoder = Self { api, handle, info: Box::default() };
        encoder.set_option(ENCODER_OPTION_TRACE_LEVEL, &mut { WELS_LOG_QUIET })?;
        Ok(encoder)
    }

    pub(in crate::openh264) fn new(params: &SEncParamExt) -> Result<Self, RawError> {
        let encoder = Self::create()?;
        let initialize = function!(encoder.handle, InitializeExt)?;
        // SAFETY: the library reads one parameter block, during the call.
        check("InitializeExt", unsafe { initialize(encoder.handle, params) })?;
        Ok(encoder)
    }

    /// Sets an option whose value has the type the library expects for it.
    fn set_option<T>(&mut self, option: c_int, value: &mut T) -> Result<(), RawError> {
        let set_option = function!(self.handle, SetOption)?;
        // SAFETY: private, and every call in this file passes the type that the library's header names for the option; it is
        // read during the call.
        check("SetOption", unsafe { set_option(self.handle, option, ptr::from_mut(value).cast::<c_void>()) })
    }

    /// Aims at another bitrate, in bits per second.
    pub(in crate::openh264) fn set_bitrate(&mut self, bits_per_second: c_int) -> Result<(), RawError> {
        let mut info = SBitrateInfo { iLayer: SPATIAL_LAYER_ALL, iBitrate: bits_per_second };
        self.set_option(ENCODER_OPTION_BITRATE, &mut info)
    }

    /// Expects another number of pictures per second.
    pub(in crate::openh264) fn set_frame_rate(&mut self, mut rate: f32) -> Result<(), RawError> {
        self.set_option(ENCODER_OPTION_FRAME_RATE, &mut rate)
    }

    /// Makes the next picture an IDR picture.
    pub(in crate::openh264) fn force_keyframe(&mut self) -> Result<(), RawError> {
        let force = function!(self.handle, ForceIntraFrame)?;
        // SAFETY: a call on a live, initialised encoder.
        check("ForceIntraFrame", unsafe { force(self.handle, true) })
    }

    /// Encodes a picture and gives each NAL unit, start code included, to `unit`. True where the picture is IDR.
    pub(in crate::openh264) fn encode(
        &mut self,
        picture: &Picture,
        millis: i64,
        mut unit: impl FnMut(&[u8]),
    ) -> Result<bool, RawError> {
        let encode = function!(self.handle, EncodeFrame)?;
        let data = |plane| picture.plane(plane).as_ptr().cast_mut();
        let stride = |plane| picture.stride(plane) as c_int;
        let source = SSourcePicture {
            iColorFormat: videoFormatI420,
            iStride: [stride(Plane::Y), stride(Plane::U), stride(Plane::V), 0],
            pData: [data(Plane::Y), data(Plane::U), data(Plane::V), ptr::null_mut()],
            iPicWidth: picture.size().width() as c_int,
            iPicHeight: picture.size().height() as c_int,
            uiTimeStamp: millis,
            ..SSourcePicture::default()
        };
        // SAFETY: the planes hold what sizes and strides say (an invariant of `Picture`), the caller checked that the size is
        // the encoder's, and the library only reads them, during the call; `info` is a whole block it writes.
        check("EncodeFrame", unsafe { encode(self.handle, &raw const source, &raw mut *self.info) })?;
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0).min(self.info.sLayerInfo.len());
        for layer in &self.info.sLayerInfo[..layers] {
            let units = usize::try_from(layer.iNalCount).unwrap_or(0);
            if units == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                continue;
            }
            // SAFETY: the library gives `iNalCount` lengths there, valid until its next call.
            let lengths = unsafe { std::slice::from_raw_parts(layer.pNalLengthInByte, units) };
            let mut start = 0;
            for &length in lengths {
                let length = usize::try_from(length).unwrap_or(0);
                // SAFETY: the layer's buffer holds its units one behind the other, valid until the library's next call.
                unit(unsafe { std::slice::from_raw_parts(layer.pBsBuf.add(start), length) });
                start += length;
            }
        }
        Ok(self.info.eFrameType == videoFrameTypeIDR)
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        if let Ok(uninitialize) = function!(self.handle, Uninitialize) {
            // SAFETY: the handle is live, and uninitialising twice or early is allowed.
            unsafe { uninitialize(self.handle) };
        }
        // SAFETY: the handle came from this library and is not used after.
        unsafe { self.api.WelsDestroySVCEncoder(self.handle) };
    }
}
