//! Names of boxes.

pub use mp4_atom::FourCC;

macro_rules! names {
    ($($name:ident = $value:literal)*) => {
        $(pub(crate) const $name: FourCC = FourCC::new($value);)*
    };
}

names! {
    AV1C = b"av1C" AVCC = b"avcC" BTRT = b"btrt" DOPS = b"dOps" EDTS = b"edts" ELNG = b"elng" ELST = b"elst" EMIB = b"emib" EMSG = b"emsg"
    ESDS = b"esds" FREE = b"free" FTYP = b"ftyp" HDLR = b"hdlr" HVCC = b"hvcC" MDAT = b"mdat" MDHD = b"mdhd" MDIA = b"mdia"
    META = b"meta" MFHD = b"mfhd" MFRA = b"mfra" MINF = b"minf" MOOF = b"moof" MOOV = b"moov" MVEX = b"mvex" MVHD = b"mvhd"
    PASP = b"pasp" PDIN = b"pdin" PRFT = b"prft" SIDX = b"sidx" SKIP = b"skip" SSIX = b"ssix" STBL = b"stbl" STSD = b"stsd" STYP = b"styp" TFDT = b"tfdt"
    TFHD = b"tfhd" TKHD = b"tkhd" TRAF = b"traf" TRAK = b"trak" TREP = b"trep" TREX = b"trex" TRUN = b"trun" UUID = b"uuid" VTTC = b"vttC"
    WAVE = b"wave" WIDE = b"wide"
}
