"""Whether a text is in another language than English, and what of others English has taken over."""

import pytest

from tollway_dataplane.prompts.competence import is_english
from tollway_dataplane.prompts.languages import english_ahead
from tollway_dataplane.prompts.reading import read


@pytest.mark.parametrize(
    "text",
    [
        "Comment activer le mode avion ?",
        "Puis-je importer un animal ?",
        "Annuler mon abonnement",
        "Supprimer mon compte",
        "Où est la gare ?",
        "Kann man das Tier importieren?",
        "Was kostet ein Ticket nach Berlin?",
        "Konto löschen",
        "Hoe laat is het?",
        "Is het station open?",
        "Puedo cancelar mi plan?",
        "cual es la capital de Francia",
        "Posso cancelar o plano?",
        "Onde está meu pedido?",
        "Posso annullare il piano?",
        "Che tempo fa a Roma?",
        "Var är min beställning?",
        "Kan jeg opsige min plan?",
        "Jak eksportować dokument?",
        "Uçak modu nasıl açılır?",  # noqa: RUF001 - as it is written
        "Miten vien asiakirjan?",
    ],
)
def test_another_language_is_found_in_a_short_text(text: str) -> None:
    assert not is_english([read(text)])
    assert not is_english([read("How do I open an account here?"), read(text)])


@pytest.mark.parametrize(
    "text",
    [
        "How do I get to São Paulo?",
        "What does 'déjà vu' mean?",
        "recipe for crème brûlée",
        "los angeles weather",
        "Who is Ursula von der Leyen?",
        "Is Rio de Janeiro safe?",
        "What does the French word chien mean?",
        'What does "je ne sais quoi" mean?',
        "Le Monde owner",
        "How do I understand β and ∝?",
        "DES encryption explained",
        "cancel order",
        "£100, good",
    ],
)
def test_english_with_names_and_phrases_from_elsewhere_is_english(text: str) -> None:
    assert english_ahead(read(text)) >= 0
    assert is_english([read(text)])


@pytest.mark.parametrize(
    "text",
    [
        "Die Hand war warm",
        "Hotel en Madrid",
        "Table pour six",
        "Camera con vista",
        "Wer hat Angst",
        "De man was warm",
        "Min plan",
        "Error de red",
    ],
)
def test_words_that_english_has_as_well_make_no_text_english(text: str) -> None:
    assert not is_english([read(text)])


@pytest.mark.parametrize(
    "text", ["Beyoncé age", "Île de Ré ferries", "Vincent van Gogh paintings", "translate bonjour"]
)
def test_names_and_nothing_else_to_tell_by_are_not_clearly_english(text: str) -> None:
    assert not is_english([read(text)])


@pytest.mark.parametrize(
    "text",
    [
        "i was overcharged",
        "is it in",
        "cancel order",
        "next song please",
        "a man was in here",
        "do i get in",
        "want to get a card",
        "I must make several disposable cards per day.",
    ],
)
def test_words_of_several_languages_are_english_where_no_other_has_all_of_them(text: str) -> None:
    assert is_english([read(text)])
