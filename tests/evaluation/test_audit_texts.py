"""Odd characters and languages, on texts that have them and on texts that only look so."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from bothways.data import TextExample
from bothways.evaluation.audit_languages import NAMES, language_of
from bothways.evaluation.audit_parts import Part, entry_of
from bothways.evaluation.audit_texts import blank_texts, odd_texts

SENTENCES = {
    "en": "He was not there when they came home, but what had been said was known to all of us.",
    "de": "Er war nicht da, als sie nach Hause kamen, aber was gesagt worden ist, wissen wir auch.",
    "fr": "Il n'était pas là quand ils sont rentrés, mais ce qui a été dit est connu de nous tous.",
    "es": "No estaba allí cuando volvieron a casa, pero lo que se ha dicho es conocido por todos.",
    "it": "Non era lì quando sono tornati a casa, ma quello che è stato detto è noto a tutti della città.",
    "pt": "Ele não estava lá quando eles voltaram para casa, mas o que foi dito é conhecido por todos nós.",
    "nl": "Hij was niet daar toen zij naar huis kwamen, maar wat er gezegd is weten wij ook wel.",
    "sv": "Han var inte där när de kom hem, men det som har blivit sagt är känt för oss alla.",
    "fi": "Hän ei ollut siellä kun he tulivat kotiin, mutta se mitä on sanottu on kaikkien tiedossa.",
    "pl": "Nie było go tam, gdy wrócili do domu, ale to, co zostało powiedziane, jest już znane.",
    "cs": "Nebyl tam, když se vrátili domů, ale to, co bylo řečeno, je už známo také v celé zemi.",
    "hu": "Nem volt ott, amikor hazajöttek, de amit mondtak, azt már mindenki tudja, és ez nagyon jó.",
    "ro": "Nu era acolo când s-au întors acasă, dar ceea ce a fost spus este cunoscut de toți și de la noi.",
    "tr": "Eve geldiklerinde o orada değildi, ama ne söylendiği çok iyi biliniyor ve bu bir sır değil.",
    "id": "Dia tidak ada di sana ketika mereka pulang, tetapi apa yang telah dikatakan itu sudah diketahui.",
    "vi": "Anh không có ở đó khi họ về nhà, nhưng những gì đã được nói thì tôi cũng biết.",
    "ru": "Его там не было, когда они вернулись домой, но всё, что было сказано, мы знаем.",
    "uk": "Його там не було, коли вони повернулися додому, але все, що було сказано, ми знаємо і пам'ятаємо.",
    "bg": "Той не беше там, когато те се върнаха, но това, което е казано, ще се знае от всички, че са били.",
    "el": "Δεν ήταν εκεί όταν γύρισαν στο σπίτι.",
    "ar": "لم يكن هناك عندما عادوا إلى المنزل",
    "fa": "وقتی به خانه برگشتند او آنجا نبود",
    "he": "הוא לא היה שם כשהם חזרו הביתה",
    "hi": "जब वे घर लौटे तो वह वहाँ नहीं था",
    "ja": "彼らが家に帰ったとき、彼はそこにいなかった。",
    "zh": "他们回家的时候他不在那里。",
    "ko": "그들이 집에 돌아왔을 때 그는 거기에 없었다.",
    "th": "เมื่อพวกเขากลับบ้านเขาไม่อยู่ที่นั่น",
}


def part(*texts: str) -> Part:
    found = [entry_of(TextExample(text, None, "x", row), "f.csv") for row, text in enumerate(texts, 1)]
    return Part(name="training", files=("f.csv",), kind="single", entries=found)


def kinds(text: str) -> list[str]:
    return [finding.kind for finding in odd_texts([part(text)])]


@pytest.mark.parametrize(
    "text", ["é", "naïve café", "Grüße", "das – heißt", "“so” it’s", "кот и пёс", "日本語", "łódź ąę", "😀"]
)
def test_utf_8_read_as_windows_1252_is_seen(text):
    misread = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in text.encode())
    assert "misread-encoding" in kinds(f"it is {misread} here")
    assert kinds(f"it is {text} here") == []
    latin = text.encode().decode("latin-1")
    assert kinds(f"it is {latin} here") == ["misread-encoding"]


@pytest.mark.parametrize(
    "text",
    [
        "Ça va, « l’été… » dit-il",
        "«\u00a0le café\u00a0», dit-elle à\u00a0«\u00a0lui\u00a0»",
        "NÃO É «MANHû…",
        "Ä“Ö”, Å–Ø",
        "Ð is a letter, and so is Ñ",
        "5 < 6 & 7 > 3; a <- b; x&y",
        "می‌خواهم 👨‍👩‍👧",
        "Ελληνικά και русский",
    ],
)
def test_ordinary_texts_are_not_accused(text):
    assert kinds(text) == []


def test_what_cannot_be_read_is_found_with_its_place():
    findings = {
        f.kind: f
        for f in odd_texts([part("a\x00b", "plain", "lost \ufffd", "zero\u200bwidth", "e\u0301", "a<br />b &amp; c")])
    }
    assert list(findings) == [
        "replacement-characters",
        "control-characters",
        "invisible-characters",
        "decomposed-accents",
        "html",
    ]
    assert findings["control-characters"].sentence.startswith("1 of 6 texts has control characters")
    place = findings["invisible-characters"].examples[0][0]
    assert (place.file, place.row, place.detail) == ("f.csv", 4, r"'zero\u200bwidth'")
    assert findings["control-characters"].examples[0][0].text == r"a\u0000b"
    assert "zero-width" in findings["invisible-characters"].sentence


def test_windows_1252_read_as_latin_1_is_seen():
    latin = "so \u2013 it\u2019s".encode("cp1252").decode("latin-1")
    (finding,) = odd_texts([part(latin, "so - it's")])
    assert finding.kind == "misread-punctuation" and finding.examples[0][0].detail == r"'so \x96 it\x92s'"


def test_both_halves_of_pairs_are_looked_at_and_rows_counted_once():
    entries = [entry_of(TextExample("a &amp; b", "c &amp; d", "x", 1)), entry_of(TextExample("fine", "&lt;", "x", 2))]
    (finding,) = odd_texts([Part(name="training", files=(), kind="single", entries=entries)])
    assert finding.count == 2 and finding.sentence.startswith("2 of 2 texts have")


def test_blank_halves_count():
    entries = [entry_of(TextExample("a", " ", "x", 1)), entry_of(TextExample("a", "b", "x", 2))]
    (finding,) = blank_texts([Part(name="training", files=(), kind="single", entries=entries, blank_texts=2)])
    assert finding.count == 3 and finding.sentence.startswith("3 rows have a blank text")
    assert blank_texts([part("a", "b")]) == []


@pytest.mark.parametrize("code", SENTENCES)
def test_languages_are_recognised(code):
    assert language_of(SENTENCES[code]) == code and code in NAMES


@pytest.mark.parametrize(
    "text", ["", "great", "a gorgeous , witty , seductive movie", "12345 67890", "Berlin Paris London", "la la la"]
)
def test_short_texts_are_not_guessed(text):
    assert language_of(text) in ("unsure", "en") and (language_of(text) == "unsure" or " a " in f" {text}")


def test_danish_and_norwegian_are_one_of_both_or_unsure():
    assert language_of("Han var ikke der da de kom hjem, men det som ble sagt er kjent for oss alle.") in (
        "no",
        "da",
        "unsure",
    )


@pytest.mark.data
@pytest.mark.parametrize("code", ["en", "de", "fr"])
def test_real_captions(code):
    directory = os.environ.get("BOTHWAYS_DATA")
    if not directory:
        pytest.skip("needs BOTHWAYS_DATA")
    packed = Path(directory, "multi30k", f"val.{code}.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").splitlines()
    guesses = [language_of(line) for line in lines]
    assert len([g for g in guesses if g not in (code, "unsure")]) <= 0.01 * len(lines)
    assert guesses.count(code) >= 0.5 * len(lines)
