//! Languages: ISO 639-2/T as `mdhd` packs them, and BCP 47 as everyone else wants them.

use mp4_atom::Mdhd;

use crate::boxes::BoxRef;
use crate::fourcc;
use crate::reader::ReadError;

/// The languages that have a code of two letters (ISO 639-1), which BCP 47 then asks for (RFC 5646, 2.2.1).
const SHORT: &str = "aar aa abk ab afr af aka ak amh am ara ar arg an asm as ava av ave ae aym ay aze az bak ba bam bm \
    bel be ben bn bis bi bod bo bos bs bre br bul bg cat ca ces cs cha ch che ce chu cu chv cv cor kw cos co cre cr \
    cym cy dan da deu de div dv dzo dz ell el eng en epo eo est et eus eu ewe ee fao fo fas fa fij fj fin fi fra fr \
    fry fy ful ff gla gd gle ga glg gl glv gv grn gn guj gu hat ht hau ha heb he her hz hin hi hmo ho hrv hr hun hu \
    hye hy ibo ig ido io iii ii iku iu ile ie ina ia ind id ipk ik isl is ita it jav jv jpn ja kal kl kan kn kas ks \
    kat ka kau kr kaz kk khm km kik ki kin rw kir ky kom kv kon kg kor ko kua kj kur ku lao lo lat la lav lv lim li \
    lin ln lit lt ltz lb lub lu lug lg mah mh mal ml mar mr mkd mk mlg mg mlt mt mon mn mri mi msa ms mya my nau na \
    nav nv nbl nr nde nd ndo ng nep ne nld nl nno nn nob nb nor no nya ny oci oc oji oj ori or orm om oss os pan pa \
    pli pi pol pl por pt pus ps que qu roh rm ron ro run rn rus ru sag sg san sa sin si slk sk slv sl sme se smo sm \
    sna sn snd sd som so sot st spa es sqi sq srd sc srp sr ssw ss sun su swa sw swe sv tah ty tam ta tat tt tel te \
    tgk tg tgl tl tha th tir ti ton to tsn tn tso ts tuk tk tur tr twi tw uig ug ukr uk urd ur uzb uz ven ve vie vi \
    vol vo wln wa wol wo xho xh yid yi yor yo zha za zho zh zul zu";

/// Longer than any tag in use; what is longer is not a language.
const MAX_TAG: usize = 64;

/// The language of a track as BCP 47: `elng` (ISO/IEC 14496-12, 8.4.6) before `mdhd`. None where it is undetermined.
pub(super) fn read(mdia: &BoxRef<'_>, mdhd: &Mdhd) -> Result<Option<String>, ReadError> {
    if let Some(elng) = mdia.child(fourcc::ELNG)? {
        let tag = elng.body().get(4..).and_then(|tag| tag.split(|b| *b == 0).next()).unwrap_or_default();
        let fits =
            !tag.is_empty() && tag.len() <= MAX_TAG && tag.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
        if fits && tag != b"und" {
            return Ok(std::str::from_utf8(tag).ok().map(str::to_owned));
        }
    }
    Ok(to_bcp47(&mdhd.language))
}

fn to_bcp47(code: &str) -> Option<String> {
    if code == "und" || code.len() != 3 || !code.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let short = pairs().find(|(long, _)| *long == code).map(|(_, short)| short);
    Some(short.unwrap_or(code).to_owned())
}

/// The ISO 639-2/T code of a BCP 47 tag's language; `und` where it has none.
pub(crate) fn to_iso639(tag: &str) -> &str {
    let language = tag.split('-').next().unwrap_or_default();
    if let Some((long, _)) = pairs().find(|(_, short)| short.eq_ignore_ascii_case(language)) {
        return long;
    }
    if language.len() == 3 && language.bytes().all(|b| b.is_ascii_lowercase()) { language } else { "und" }
}

fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut words = SHORT.split_ascii_whitespace();
    std::iter::from_fn(move || Some((words.next()?, words.next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_translate_both_ways() {
        assert_eq!(to_bcp47("deu").as_deref(), Some("de"));
        assert_eq!(to_bcp47("gsw").as_deref(), Some("gsw"));
        assert_eq!(to_bcp47("und"), None);
        assert_eq!(to_bcp47("```"), None);
        assert_eq!(to_iso639("de-CH"), "deu");
        assert_eq!(to_iso639("gsw"), "gsw");
        assert_eq!(to_iso639("x"), "und");
        assert!(pairs().all(|(long, short)| long.len() == 3 && short.len() == 2));
    }
}
