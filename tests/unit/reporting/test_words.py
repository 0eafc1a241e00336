"""Languages: the same keys everywhere, every sentence translated, and one line where something is missing."""

# ruff: noqa: RUF001  Japanese has its own brackets
import re
from string import Formatter

import pytest

from muse.errors import MuseError, UsageError
from muse.reporting import view
from muse.reporting.words import SHIPPED, Words, languages, load, searched, sentences, spoken

OTHERS = [lang for lang in languages() if lang != "en"]


def japanese(**sentences):
    """Japanese with these sentences alone."""
    return Words("ja", SHIPPED / "messages/ja.yaml", load("ja").messages, sentences, {", predicted.": "（予測）。"})


def test_an_unknown_language_is_a_usage_error_with_those_there_are():
    """The languages are the files of messages."""
    with pytest.raises(UsageError, match=r"^unknown language 'fr', expected one of en, ja$"):
        load("fr")


@pytest.mark.parametrize("lang", OTHERS)
def test_every_language_has_the_same_keys(lang):
    """None lacks a message, none has one that nobody reads."""
    assert set(load(lang).messages) == set(load().messages)


@pytest.mark.parametrize("lang", OTHERS)
def test_every_message_has_the_same_places(lang):
    """A translation that drops a number would tell less."""
    english, other = load().messages, load(lang).messages
    assert {key: _places(other[key]) for key in english} == {key: _places(text) for key, text in english.items()}


@pytest.mark.parametrize("lang", languages())
def test_every_reason_code_of_the_source_has_words(root, lang):
    """Where a probe gives up, each language says why."""
    source = "\n".join(file.read_text() for file in (root / "muse").rglob("*.py"))
    codes = set(re.findall(r'Unmeasured\(\s*"([a-z_]+)"', source))
    assert {code for code in codes if f"reasons.{code}" not in load(lang).messages} == set()


def test_english_says_the_ledger_s_own_sentences():
    """They need no file."""
    assert load().say("The GPU has 8.00 GB.") == "The GPU has 8.00 GB."


def test_an_ending_is_translated_once_for_all_sentences():
    """It takes the place of the full stop."""
    words = japanese(**{"It peaks.": "最大になる。"})
    assert (words.say("It peaks."), words.say("It peaks, predicted.")) == ("最大になる。", "最大になる（予測）。")


def test_an_ending_alone_does_not_translate():
    """The sentence before it must be there."""
    assert japanese().untranslated(["It grows, predicted."]) == ["It grows, predicted."]


def test_a_sentence_without_a_translation_stands_in_english_with_a_note(stated, found):
    """A new sentence is in every report at once."""
    records = [found(stated(says="A new sentence.", cause="A new cause."), 9.0)]
    [document] = view.build(records, lambda _: False, {}, japanese()).documents
    assert document.sections[0].rows[0].says == "A new sentence. （未訳）"


def test_our_own_sentences_are_all_translated(root, real_ledger):
    """Into each language that our reports are in."""
    templates = searched(root / "reports")
    assert list(spoken(templates)) == ["en", "ja"]
    assert load("ja", templates).untranslated(sentences(real_ledger)) == []


def test_a_project_speaks_english_and_the_languages_that_it_translates_to(tmp_path):
    """Japanese messages come with MUSE, and a project's sentences do not."""
    assert list(spoken((tmp_path, SHIPPED))) == ["en"]
    (tmp_path / "messages").mkdir()
    (tmp_path / "messages/ja_sentences.yaml").write_text("sentences: {}\n")
    assert list(spoken((tmp_path, SHIPPED))) == ["en", "ja"]


def test_a_project_s_own_words_come_before_those_that_come_with_muse(tmp_path):
    """Word by word."""
    (tmp_path / "messages").mkdir()
    (tmp_path / "messages/en.yaml").write_text("language: Plain English\n")
    words = load("en", (tmp_path, SHIPPED))
    assert (words.messages["language"], words.messages["untranslated"]) == ("Plain English", "(no translation yet)")


def test_a_missing_message_is_one_line_with_file_and_key():
    """A key that a template misspells."""
    with pytest.raises(MuseError, match=r"^\S*en\.yaml: no message 'colum\.claim'$"):
        load().text("colum.claim")


def test_a_missing_number_is_one_line_with_file_and_key():
    """A message names a place that nobody fills."""
    with pytest.raises(MuseError, match=r"^\S*en\.yaml: 'claims_in_rows' names an unknown 'rows'$"):
        load().text("claims_in_rows", claims=1)


def test_a_message_file_that_is_no_yaml_is_one_line(tmp_path):
    """With the file's name."""
    (tmp_path / "messages").mkdir()
    (tmp_path / "messages/en.yaml").write_text("a: [")
    with pytest.raises(MuseError, match=r"^\S*en\.yaml: [^\n]+$"):
        load("en", (tmp_path,))


def test_an_unknown_reason_of_an_older_record_stands_as_it_is():
    """A report of old evidence renders."""
    assert load("ja").reason("card_on_fire") == "card on fire"


def test_a_section_is_titled_in_the_document_s_own_words_elsewhere_than_in_english(stated, found):
    """English shows both; another language the original."""
    claim = stated(says="It peaks.", section="Memory", original="メモリ")
    english = view.build([found(claim, 5.8)], lambda _: False, {})
    other = view.build([found(claim, 5.8)], lambda _: False, {}, japanese(**{"It peaks.": "最大。"}))
    titles = [(s.title, s.original) for built in (english, other) for d in built.documents for s in d.sections]
    assert titles == [("Memory", "メモリ"), ("メモリ", None)]


def _places(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name} if isinstance(text, str) else len(text)
