//! `ISVCDecoder`.

use std::ffi::{c_int, c_long};
use std::ptr;

use openh264_sys2::{
    API, DECODER_OPTION_ERROR_CON_IDC, DECODER_OPTION_NUM_OF_FRAMES_REMAINING_IN_BUFFER, DECODER_OPTION_TRACE_LEVEL,
    DynamicAPI, ERROR_CON_DISABLE, ISVCDecoder, SBufferInfo, SDecodingParam, VIDEO_BITSTREAM_AVC, WELS_LOG_QUIET,
};

use super::{RawError, check, function};

/// A decoder of the library, initialised: one thread, no concealment of errors, silent.
pub(in crate::openh264) struct RawDecoder {
    api: DynamicAPI,
    handle: *mut ISVCDecoder,
}

/// A decoded picture in the library's memory, valid until the decoder is used again.
pub(in crate::openh264) struct DecodedPlanes<'a> {
    /// The number given with the coded picture.
    pub(in crate::openh264) id: u64,
    /// Luma samples in a row.
    pub(in crate::openh264) width: u32,
    /// Rows of luma samples.
    pub(in crate::openh264) height: u32,
    /// Y, Cb, Cr: bytes, and bytes from row to row.
    pub(in crate::openh264) planes: [(&'a [u8], usize); 3],
}

// SAFETY: the library's decoder keeps no thread-local state, and with no threads of its own (they are never asked for) nothing
// but the owner of the handle touches it.
unsafe impl Send for RawDecoder {}

impl RawDecoder {
    pub(in crate::openh264) fn new() -> Result<Self, RawError> {
        let api = DynamicAPI::from_source();
        let mut handle: *mut ISVCDecoder = ptr::null_mut();
        // SAFETY: the library writes one pointer to `handle`, which outlives the call.
        check("WelsCreateDecoder", unsafe { api.WelsCreateDecoder(&raw mut handle) })?;
        if handle.is_null() {
            return Err(RawError { call: "WelsCreateDecoder", code: -1 });
        }
        let decoder = Self { api, handle };
        decoder.set_option(DECODER_OPTION_TRACE_LEVEL, WELS_LOG_QUIET)?;
        let mut params = SDecodingParam::default();
        params.sVideoProperty.eVideoBsType = VIDEO_BITSTREAM_AVC;
        params.eEcActiveIdc = ERROR_CON_DISABLE;
        let initialize = function!(decoder.handle, Initialize)?;
        // SAFETY: `params` is a whole parameter block that the library copies from during the call.
        check("Initialize", unsafe { initialize(decoder.handle, &raw const params) })?;
        decoder.set_option(DECODER_OPTION_ERROR_CON_IDC, ERROR_CON_DISABLE)?;
        Ok(decoder)
    }

    fn set_option(&self, option: c_int, mut value: c_int) -> Result<(), RawError> {
        let set_option = function!(self.handle, SetOption)?;
        // SAFETY: the options used here read one `int`, during the call.
        check("SetOption", unsafe { set_option(self.handle, option, (&raw mut value).cast()) } as c_long)
    }

    /// Feeds NAL units with start codes, all of one access unit. A picture of an earlier one may come out.
    pub(in crate::openh264) fn feed(
        &mut self,
        id: u64,
        units: &[u8],
    ) -> (Option<DecodedPlanes<'_>>, Result<(), RawError>) {
        let Ok(length) = c_int::try_from(units.len()) else {
            return (None, Err(RawError { call: "DecodeFrame2 (access unit too long)", code: -1 }));
        };
        self.decode_frame(id, units.as_ptr(), length)
    }

    /// Says that the access unit is complete, which makes the library decode it.
    pub(in crate::openh264) fn complete(&mut self, id: u64) -> (Option<DecodedPlanes<'_>>, Result<(), RawError>) {
        self.decode_frame(id, ptr::null(), 0)
    }

    fn decode_frame(
        &mut self,
        id: u64,
        units: *const u8,
        length: c_int,
    ) -> (Option<DecodedPlanes<'_>>, Result<(), RawError>) {
        let decode = match function!(self.handle, DecodeFrame2) {
            Ok(decode) => decode,
            Err(error) => return (None, Err(error)),
        };
        let mut planes = [ptr::null_mut::<u8>(); 3];
        let mut info = SBufferInfo { uiInBsTimeStamp: id, ..SBufferInfo::default() };
        // SAFETY: `units` is valid for `length` bytes (or null with a length of zero, which the library takes as the end of an
        // access unit) and copied during the call; `planes` and `info` have the sizes the library writes.
        let state = unsafe { decode(self.handle, units, length, planes.as_mut_ptr(), &raw mut info) };
        // SAFETY: `info` was filled by the call just made, and the picture borrows `self`.
        (unsafe { picture(&info) }, check("DecodeFrame2", state))
    }

    /// How many decoded pictures wait inside for their turn.
    pub(in crate::openh264) fn waiting(&self) -> Result<usize, RawError> {
        let get_option = function!(self.handle, GetOption)?;
        let mut waiting: c_int = 0;
        // SAFETY: this option writes one `int`, during the call.
        let code = unsafe {
            get_option(self.handle, DECODER_OPTION_NUM_OF_FRAMES_REMAINING_IN_BUFFER, (&raw mut waiting).cast())
        };
        check("GetOption", code)?;
        Ok(usize::try_from(waiting).unwrap_or(0))
    }

    /// Takes one picture that waits inside. None when there is none left. Only at the end: the library does not reuse the
    /// memory of a picture taken this way.
    pub(in crate::openh264) fn take_remaining(&mut self) -> Result<Option<DecodedPlanes<'_>>, RawError> {
        if self.waiting()? == 0 {
            return Ok(None);
        }
        let flush = function!(self.handle, FlushFrame)?;
        let mut planes = [ptr::null_mut::<u8>(); 3];
        let mut info = SBufferInfo::default();
        // SAFETY: as for `DecodeFrame2`.
        check("FlushFrame", unsafe { flush(self.handle, planes.as_mut_ptr(), &raw mut info) })?;
        // SAFETY: `info` was filled by the call just made, and the picture borrows `self`.
        Ok(unsafe { picture(&info) })
    }
}

/// The picture a call filled in, if it did.
///
/// # Safety
/// `info` must be as the library left it, and the decoder must not be used while the result lives.
unsafe fn picture<'a>(info: &SBufferInfo) -> Option<DecodedPlanes<'a>> {
    if info.iBufferStatus != 1 || info.pDst.iter().any(|plane| plane.is_null()) {
        return None;
    }
    // SAFETY: the union has one member.
    let buffer = unsafe { info.UsrData.sSystemBuffer };
    let width = usize::try_from(buffer.iWidth).ok()?;
    let height = usize::try_from(buffer.iHeight).ok()?;
    let stride = [buffer.iStride[0], buffer.iStride[1], buffer.iStride[1]];
    let mut planes: [(&[u8], usize); 3] = [(&[], 0); 3];
    for (i, plane) in planes.iter_mut().enumerate() {
        let (row, rows) = if i == 0 { (width, height) } else { (width / 2, height / 2) };
        let stride = usize::try_from(stride[i]).ok()?;
        if rows == 0 || stride < row {
            return None;
        }
        // SAFETY: the library's planes hold `rows` rows of `row` samples, `stride` apart, from the pointer it gives (already
        // moved past the cropped part), and stay untouched until the decoder is used again. The last row ends with its samples.
        *plane = (unsafe { std::slice::from_raw_parts(info.pDst[i], stride * (rows - 1) + row) }, stride);
    }
    Some(DecodedPlanes { id: info.uiOutYuvTimeStamp, width: width as u32, height: height as u32, planes })
}

impl Drop for RawDecoder {
    fn drop(&mut self) {
        if let Ok(uninitialize) = function!(self.handle, Uninitialize) {
            // SAFETY: the handle is live, and uninitialising twice or early is allowed.
            unsafe { uninitialize(self.handle) };
        }
        // SAFETY: the handle came from this library and is not used after.
        unsafe { self.api.WelsDestroyDecoder(self.handle) };
    }
}
