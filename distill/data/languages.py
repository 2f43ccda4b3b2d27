"""Language tags: which codes there are, which one was meant, and when two tags name the same language. Imports no torch."""

from __future__ import annotations

import functools
import re

from ..errors import DataError, DistillError, nearest

_TWO_LETTERS = """
aa aar Afar; ab abk Abkhazian; ae ave Avestan; af afr Afrikaans; ak aka Akan; am amh Amharic; an arg Aragonese;
ar ara Arabic; as asm Assamese; av ava Avaric; ay aym Aymara; az aze Azerbaijani; ba bak Bashkir; be bel Belarusian;
bg bul Bulgarian; bi bis Bislama; bm bam Bambara; bn ben Bengali; bo bod tib Tibetan; br bre Breton; bs bos Bosnian;
ca cat Catalan; ce che Chechen; ch cha Chamorro; co cos Corsican; cr cre Cree; cs ces cze Czech; cu chu Church Slavic;
cv chv Chuvash; cy cym wel Welsh; da dan Danish; de deu ger German; dv div Divehi; dz dzo Dzongkha; ee ewe Ewe;
el ell gre Greek; en eng English; eo epo Esperanto; es spa Spanish; et est Estonian; eu eus baq Basque;
fa fas per Persian; ff ful Fulah; fi fin Finnish; fj fij Fijian; fo fao Faroese; fr fra fre French;
fy fry Western Frisian; ga gle Irish; gd gla Scottish Gaelic; gl glg Galician; gn grn Guarani; gu guj Gujarati;
gv glv Manx; ha hau Hausa; he heb Hebrew; hi hin Hindi; ho hmo Hiri Motu; hr hrv Croatian; ht hat Haitian Creole;
hu hun Hungarian; hy hye arm Armenian; hz her Herero; ia ina Interlingua; id ind Indonesian; ie ile Interlingue;
ig ibo Igbo; ii iii Sichuan Yi; ik ipk Inupiaq; io ido Ido; is isl ice Icelandic; it ita Italian; iu iku Inuktitut;
ja jpn Japanese; jv jav Javanese; ka kat geo Georgian; kg kon Kongo; ki kik Kikuyu; kj kua Kuanyama; kk kaz Kazakh;
kl kal Greenlandic; km khm Khmer; kn kan Kannada; ko kor Korean; kr kau Kanuri; ks kas Kashmiri; ku kur Kurdish;
kv kom Komi; kw cor Cornish; ky kir Kyrgyz; la lat Latin; lb ltz Luxembourgish; lg lug Ganda; li lim Limburgish;
ln lin Lingala; lo lao Lao; lt lit Lithuanian; lu lub Luba-Katanga; lv lav Latvian; mg mlg Malagasy; mh mah Marshallese;
mi mri mao Maori; mk mkd mac Macedonian; ml mal Malayalam; mn mon Mongolian; mr mar Marathi; ms msa may Malay;
mt mlt Maltese; my mya bur Burmese; na nau Nauru; nb nob Norwegian Bokmal; nd nde North Ndebele; ne nep Nepali;
ng ndo Ndonga; nl nld dut Dutch; nn nno Norwegian Nynorsk; no nor Norwegian; nr nbl South Ndebele; nv nav Navajo;
ny nya Nyanja; oc oci Occitan; oj oji Ojibwa; om orm Oromo; or ori Odia; os oss Ossetic; pa pan Punjabi; pi pli Pali;
pl pol Polish; ps pus Pashto; pt por Portuguese; qu que Quechua; rm roh Romansh; rn run Rundi; ro ron rum Romanian;
ru rus Russian; rw kin Kinyarwanda; sa san Sanskrit; sc srd Sardinian; sd snd Sindhi; se sme Northern Sami; sg sag Sango;
si sin Sinhala; sk slk slo Slovak; sl slv Slovenian; sm smo Samoan; sn sna Shona; so som Somali; sq sqi alb Albanian;
sr srp Serbian; ss ssw Swati; st sot Southern Sotho; su sun Sundanese; sv swe Swedish; sw swa Swahili; ta tam Tamil;
te tel Telugu; tg tgk Tajik; th tha Thai; ti tir Tigrinya; tk tuk Turkmen; tl tgl Tagalog; tn tsn Tswana; to ton Tongan;
tr tur Turkish; ts tso Tsonga; tt tat Tatar; tw twi Twi; ty tah Tahitian; ug uig Uyghur; uk ukr Ukrainian; ur urd Urdu;
uz uzb Uzbek; ve ven Venda; vi vie Vietnamese; vo vol Volapuk; wa wln Walloon; wo wol Wolof; xh xho Xhosa;
yi yid Yiddish; yo yor Yoruba; za zha Zhuang; zh zho chi Chinese; zu zul Zulu
"""
"""ISO 639-1: two letters, the same in three (ISO 639-2 T, then B), and the name."""

_THREE_LETTERS = """
ace Acehnese; acm Mesopotamian Arabic; aeb Tunisian Arabic; ajp South Levantine Arabic; als Tosk Albanian;
ang Old English; apc Levantine Arabic; arb Standard Arabic; ars Najdi Arabic; ary Moroccan Arabic; arz Egyptian Arabic;
ast Asturian; awa Awadhi; ayr Central Aymara; azb South Azerbaijani; azj North Azerbaijani; ban Balinese; bar Bavarian;
bho Bhojpuri; bjn Banjar; brx Bodo; bug Buginese; ceb Cebuano; chr Cherokee; ckb Central Kurdish; cmn Mandarin Chinese;
cop Coptic; crh Crimean Tatar; csb Kashubian; doi Dogri; dsb Lower Sorbian; dyu Dyula; ekk Standard Estonian;
fil Filipino; fon Fon; frp Arpitan; fur Friulian; gag Gagauz; gaz West Central Oromo; got Gothic; grc Ancient Greek;
gsw Swiss German; hak Hakka Chinese; haw Hawaiian; hif Fiji Hindi; hil Hiligaynon; hmn Hmong; hne Chhattisgarhi;
hsb Upper Sorbian; ilo Iloko; jbo Lojban; kaa Kara-Kalpak; kab Kabyle; kac Kachin; kam Kamba; kbp Kabiye;
kea Kabuverdianu; kha Khasi; khk Halh Mongolian; kmb Kimbundu; kmr Northern Kurdish; knc Central Kanuri; kok Konkani;
krl Karelian; ksh Colognian; lad Ladino; lez Lezghian; lfn Lingua Franca Nova; lij Ligurian; lmo Lombard; ltg Latgalian;
lua Luba-Lulua; luo Luo; lus Mizo; lvs Standard Latvian; lzh Literary Chinese; mad Madurese; mag Magahi; mai Maithili;
min Minangkabau; mni Manipuri; mos Mossi; mwl Mirandese; myv Erzya; nan Min Nan Chinese; nap Neapolitan; nds Low German;
new Newari; npi Nepali (individual language); nqo N'Ko; nso Northern Sotho; nus Nuer; ory Odia (individual language);
pag Pangasinan; pam Pampanga; pap Papiamento; pbt Southern Pashto; pcd Picard; pcm Nigerian Pidgin; pes Iranian Persian;
plt Plateau Malagasy; pms Piedmontese; prs Dari; quy Ayacucho Quechua; rif Riffian; rom Romany; rue Rusyn; sah Yakut;
sat Santali; scn Sicilian; sco Scots; sgs Samogitian; shi Tachelhit; shn Shan; srn Sranan Tongo;
swh Swahili (individual language); syr Syriac; szl Silesian; taq Tamasheq; tcy Tulu; tet Tetum; tok Toki Pona;
tpi Tok Pisin; tum Tumbuka; tyv Tuvinian; tzm Central Atlas Tamazight; udm Udmurt; umb Umbundu; uzn Northern Uzbek;
vec Venetian; vep Veps; vls West Flemish; war Waray; wuu Wu Chinese; xmf Mingrelian; ydd Eastern Yiddish; yue Cantonese;
zgh Standard Moroccan Tamazight; zsm Standard Malay; zza Zaza
"""
"""Languages without two letters that parallel text is found in."""

SLIPS = {
    "cn": "zh",
    "cz": "cs",
    "dk": "da",
    "gb": "en",
    "gr": "el",
    "il": "he",
    "in": "id",
    "ir": "fa",
    "iw": "he",
    "ji": "yi",
    "jp": "ja",
    "jw": "jv",
    "kp": "ko",
    "kr": "ko",
    "kz": "kk",
    "mo": "ro",
    "pk": "ur",
    "rs": "sr",
    "sh": "sr",
    "tj": "tg",
    "tw": "zh",
    "ua": "uk",
    "us": "en",
    "vn": "vi",
}
"""Country codes and withdrawn codes -> the language that is meant. `kr` and `tw` are real codes, of Kanuri and Twi, that text
hardly ever means: those two are written kau and twi."""

_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


def check_language(tag: str, where: str | None = None) -> list[DistillError]:
    """What is wrong with a language tag; empty if nothing is.

    Args:
        tag: a code of ISO 639-1 (ko), or a common one of three letters (yue), and after it perhaps a region or a script
            (pt-BR, zh-Hant).
        where: what to call its place in an error.
    """
    code = tag.partition("-")[0].lower()
    if _TAG.fullmatch(tag) and code in LANGUAGES and code not in SLIPS:
        return []
    expected = "a code of ISO 639 such as en, ko, yue or pt-BR"
    if code not in SLIPS:
        return [DataError("this is no language code", where=where, got=tag, expected=expected, hint=_hint(code))]
    meant = SLIPS[code]
    hint = f"the code of {LANGUAGES[meant]} is '{meant}'"
    problem = "this is a country's code or a withdrawn one"
    if code in LANGUAGES:
        own = next(three for three, two in _SAME.items() if two == code)
        problem = f"this is the code of {LANGUAGES[code]}, which is hardly meant"
        hint += f"; {LANGUAGES[code]} is written '{own}' here"
    return [DataError(problem, where=where, got=tag, expected=expected, hint=hint)]


def _hint(code: str) -> str | None:
    named = sorted(own for own, name in LANGUAGES.items() if name.lower().startswith(code) and own not in _SAME)
    if len(code) >= 3 and named:
        return "did you mean " + " or ".join(f"'{own}' ({LANGUAGES[own]})" for own in named[:3]) + "?"
    return nearest(code, LANGUAGES)


@functools.lru_cache(maxsize=1024)
def canonical(tag: str) -> str:
    """A tag in one spelling: lower case, hyphens, two letters where there are two: `EN_us` and `eng-US` are `en-us`."""
    parts = tag.strip().partition("@")[0].lower().replace("_", "-").split("-")
    return "-".join([_SAME.get(parts[0], parts[0]), *parts[1:]])


@functools.lru_cache(maxsize=1024)
def matches(tag: str, asked: str) -> bool:
    """Whether a tag is the one asked for or narrower: `en-US` is `en`; `en` is not `en-US`."""
    found, wanted = canonical(tag), canonical(asked)
    return found == wanted or found.startswith(wanted + "-")


def contradicts(tag: str, asked: str) -> bool:
    """Whether two tags cannot mean the same text: other languages, or other regions of one. What is no language says nothing."""
    found, wanted = canonical(tag).split("-"), canonical(asked).split("-")
    if found[0] not in LANGUAGES:
        return False
    regions = [{part for part in parts[1:] if len(part) == 2} for parts in (found, wanted)]
    return found[0] != wanted[0] or (all(regions) and regions[0] != regions[1])


def language_name(tag: str) -> str:
    """The English name of a tag's language, or the tag itself."""
    return LANGUAGES.get(canonical(tag).partition("-")[0], tag)


def _tables() -> tuple[dict[str, str], dict[str, str]]:
    """Every code -> its name, and every code of three letters -> that of two."""
    names: dict[str, str] = {}
    same: dict[str, str] = {}
    for entry in (_TWO_LETTERS + ";" + _THREE_LETTERS).split(";"):
        found = re.fullmatch(r"([a-z]{2,3}) ((?:[a-z]{3} )*)(.+)", " ".join(entry.split()))
        assert found is not None, entry
        for code in (found[1], *found[2].split()):
            names[code] = found[3]
            if code != found[1]:
                same[code] = found[1]
    return names, same


LANGUAGES, _SAME = _tables()
