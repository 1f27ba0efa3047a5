"""In which language a text is written: by its script, by letters that others lack, and by the commonest short words.

Function words make up about half of any running text and differ from language to language, so counting those of a text
tells languages apart where the text has a dozen words (Grefenstette 1995, "Comparing two language identification
schemes"). Short texts often have none of them or only shared ones; then the answer is "unsure", not a guess.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from bothways.evaluation.audit_findings import MOST_EXAMPLES, Finding
from bothways.evaluation.audit_parts import Part

UNSURE = "unsure"

NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi",
    "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ka": "Georgian", "ko": "Korean",
    "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sv": "Swedish", "ta": "Tamil", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese",
    "zh": "Chinese",
}  # fmt: skip
"""ISO 639-1 codes of the languages that are recognised."""

_WORDS = {
    "en": "a the of and to in is was that it for with as on be at by this are from or have an not which but they you "
    "were has had his her she he we i my what there their if would been who will about when your so can do "
    "does how",
    "de": "der die das und in den von zu ist mit sich des auf für dem nicht ein eine als auch es an werden aus er "
    "hat dass sie nach wird bei einer um am sind noch wie einem über einen war haben nur oder aber vor zur "
    "ich wir einer",
    "fr": "le la les de des du et en un une que est pour qui dans par sur pas plus au avec ce il elle sont ne se "
    "cette ou ses son mais nous vous je leur été aux ont être fait comme tout deux sa c d l qu n s j avait "
    "dont",
    "es": "el la los las de del y en un una que es por con para se no al lo como más su sus pero este esta ha son "
    "era entre cuando muy sin sobre también me hasta hay donde fue ser le yo ya porque todo esto está",
    "it": "il lo la i gli le di del della dei e in un una che è per con non si da sono come più al alla anche ma "
    "nel nella questo questa ha era suo sua dal delle dalla ho mi o ci perché essere molto stato degli l",
    "pt": "o a os as de do da dos das e em um uma que é por com para se não no na ao mais como mas foi ele ela são "
    "seu sua ou quando muito nos já eu também pelo pela até isso entre depois sem mesmo aos está você",
    "nl": "de het een en van in is dat op te voor met zijn niet aan er om ook als die door naar bij uit maar dan "
    "zij hij wordt werd heeft over nog ze je deze of tot was kan ik geen dit wel mijn haar hun al",
    "sv": "och i att det som en på är av för med till den har de inte om ett han var men jag sig från vi så kan när "
    "hon nu också efter vid där skulle eller sin ut under mycket då alla blev dem blir över",
    "da": "og i at det som en på er af for med til den har de ikke om et han var men jeg sig fra vi så kan når hun "
    "nu også efter ved der skulle eller sin ud under meget da alle blev dem bliver over nogle hvor efter",
    "no": "og i at det som en på er av for med til den har de ikke om et han var men jeg seg fra vi så kan når hun "
    "nå også etter ved der skulle eller sin ut under mye da alle ble dem blir over noen hvor etter",
    "fi": "ja on ei että se oli hän mutta ovat joka kun niin myös kuin tai sen hänen mukaan jo sekä olla mitä vain "
    "ole jos nyt minä tämä siitä ne voi jossa kanssa ollut minun sitä tämän kaikki vielä joita en",
    "pl": "i w na z się do nie to że jest o jak po ale od za co dla był przez tym są tego jego być już może tak czy "
    "jej które oraz było ich tylko przed ze pod który jako jednak ma przy gdy",
    "cs": "a v se na je že s o z do i to k ve pro za by ale si po jako jsem jeho byl který od jsou bylo které také "
    "nebo když jen podle než být při tak už co před jeho ho jak až však",
    "hu": "a az és hogy nem is egy ez van volt azt meg de ha csak már még mint el kell ki vagy lehet akkor minden "
    "mert nagyon után sem amely itt majd pedig most olyan szerint között",
    "ro": "și de la în a cu pe nu că o un din este se mai pentru ce fi care au sunt fost are dar prin sau după lui "
    "ca ale cel cea fără dacă acest această mi era când foarte al îl",
    "tr": "ve bir bu da de için ile çok ne o gibi daha olarak var olan ama kadar en sonra ben her şey değil mi diye "
    "kendi göre ya çünkü ise ancak yok şu onun benim oldu eden",
    "id": "yang dan di dari untuk dengan ini itu dalam pada tidak adalah ke akan oleh juga karena ada saya bisa "
    "telah atau mereka sebagai sudah kami dia lebih saat orang tahun seperti dapat hanya",
    "vi": "và của là có không được cho các một trong những người với đã này khi đến về như tôi từ ra để cũng lại "
    "vào nhiều sẽ trên bị phải rất anh nhưng thì",
}

_SCRIPTS = (
    ("el", re.compile("[\u0370-\u03ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("bn", re.compile("[\u0980-\u09ff]")),
    ("ta", re.compile("[\u0b80-\u0bff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
    ("ka", re.compile("[\u10a0-\u10ff]")),
    ("ko", re.compile("[\uac00-\ud7af\u1100-\u11ff]")),
    ("cyrillic", re.compile("[\u0400-\u04ff]")),
    ("arabic", re.compile("[\u0600-\u06ff]")),
    ("chinese", re.compile("[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")),
)
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+")
_MOST_CHARS = 500  # of a text; more change no answer
_FEWEST_LETTERS = 12
_FEWEST_HITS = 3  # different function words, and
_FEWEST_WORDS = 2  # of them with more than one letter
_SHARE = 0.001  # of the texts that a language was found for: one in thousands is a wrong guess more often than not
_MARGIN = 1.5  # times the weight of the next language

_OWNERS: dict[str, tuple[str, ...]] = {}
for _code, _list in _WORDS.items():
    for _word in dict.fromkeys(_list.split()):
        _OWNERS[_word] = (*_OWNERS.get(_word, ()), _code)


def language_of(text: str) -> str:
    """The ISO 639-1 code of the language that a text is most likely in, or ``"unsure"``."""
    text = text[:_MOST_CHARS]
    n_letters = len(_LETTER.findall(text))
    if not text.isascii():
        for script, pattern in _SCRIPTS:
            count = len(pattern.findall(text))
            if count >= 3 and 2 * count > n_letters:
                return _of_script(script, text)
    return _by_words(text) if n_letters >= _FEWEST_LETTERS else UNSURE


def languages_of(parts: Sequence[Part]) -> tuple[dict[str, dict[str, int]], list[Finding]]:
    """How many texts of each part are in each language, and findings about more than one."""
    guesses = {part.name: [language_of(f"{e.text}\n{e.pair or ''}") for e in part.entries] for part in parts}
    counts = {name: dict(Counter(own).most_common()) for name, own in guesses.items()}
    findings = []
    for part in parts:
        sure = {code: count for code, count in counts[part.name].items() if code != UNSURE}
        known = {code: count for code, count in sure.items() if count >= _SHARE * sum(sure.values())}
        if len(known) < 2:
            continue
        main = max(known, key=lambda code: known[code])
        rare = [i for i, code in enumerate(guesses[part.name]) if code in known and code != main]
        listed = ", ".join(f"{NAMES[code]} {count:,}" for code, count in known.items())
        sentence = (
            f"The texts of {part.name} seem to be in {len(known)} languages: {listed}; too short or too mixed to tell: "
            f"{counts[part.name].get(UNSURE, 0):,}. Make sure that the model has learned all of them."
        )
        examples = tuple((part.entries[i].place(detail=NAMES[guesses[part.name][i]]),) for i in rare[:MOST_EXAMPLES])
        findings.append(
            Finding(kind=f"languages-{part.name}", level="note", count=len(rare), sentence=sentence, examples=examples)
        )
    return counts, [*findings, *_other_language(counts)]


def _other_language(counts: Mapping[str, Mapping[str, int]]) -> list[Finding]:
    """Whether training and evaluation are mostly in different languages."""
    mains = {
        name: max((c for c in own if c != UNSURE), key=lambda c: own[c], default=UNSURE) for name, own in counts.items()
    }
    if len(set(mains.values()) - {UNSURE}) < 2:
        return []
    words = " and ".join(f"{name} is mostly in {NAMES[code]}" for name, code in mains.items())
    return [Finding(kind="other-language", level="problem", count=1, sentence=f"{words[0].upper()}{words[1:]}.")]


def _by_words(text: str) -> str:
    """A word counts once, and one that several languages have counts for each of them in part."""
    weights: dict[str, float] = {}
    hits: dict[str, list[str]] = {}
    words = set(_WORD.findall(text.lower()))
    for word in words:
        owners = _OWNERS.get(word, ())
        for code in owners:
            weights[code] = weights.get(code, 0.0) + 1.0 / len(owners)
            hits.setdefault(code, []).append(word)
    if not weights:
        return UNSURE
    best = max(weights, key=lambda code: (weights[code], code))
    others = max((weight for code, weight in weights.items() if code != best), default=0.0)
    own = hits[best]
    enough = len(own) >= _FEWEST_HITS and sum(len(word) > 1 for word in own) >= _FEWEST_WORDS
    return best if enough and weights[best] >= _MARGIN * others and len(own) >= len(words) / 10 else UNSURE


def _of_script(script: str, text: str) -> str:
    """The language of a script that several have, by letters that the others do not."""
    if script == "chinese":
        return "ja" if re.search("[\u3041-\u30ff]", text) else "zh"
    if script == "arabic":
        if re.search("[ٹڈڑںےھ]", text):
            return "ur"
        return "fa" if re.search("[پچژگ]|ی |ک", text) else "ar"
    if script == "cyrillic":
        if re.search("[іїєґІЇЄҐ]", text):
            return "uk" if not re.search("[ўЎ]", text) else UNSURE
        if re.search("[ыэёЫЭЁ]", text):
            return "ru"
        words = set(_WORD.findall(text.lower()))
        bulgarian = len(words & {"е", "са", "се", "че", "от", "за", "ще", "съм", "която", "който", "със", "също", "да"})
        russian = len(words & {"и", "не", "что", "как", "это", "его", "из", "был", "к", "у", "но", "же", "или", "в"})
        if bulgarian >= 2 and bulgarian > russian:
            return "bg"
        return "ru" if russian >= 2 and russian > bulgarian else UNSURE
    return script
